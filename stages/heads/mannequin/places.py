"""Places on the mannequin that its expressions pull and hold, and how symmetric and one-sided shapes are made of them."""

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from stages.heads.mannequin import mouth
from stages.heads.mannequin.deform import bending_energy, follow
from stages.heads.mannequin.mesh import Mesh


def smooth_step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below low, 1 above high, smooth between; low may exceed high."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Places:
    """A mesh with what its expressions need to know about it. Millimetres.

    Attributes:
        mesh: the mannequin at rest.
        energy: bending energy of the skin.
        lips: (rings, columns) vertices from the border of the red to the contact.
        t: (columns,) position along the lips, 1 at the left corner, -1 at the right, 0 at the middle.
        side: (columns,) 1 on the upper lip, -1 on the lower, 0 at the corners.
        depth: (rings,) 0 at the border of the red, 1 at the contact.
        far: (V_skin,) skin that no expression of the mouth moves.
    """

    mesh: Mesh
    energy: csr_matrix = field(init=False)
    lips: np.ndarray = field(init=False)
    t: np.ndarray = field(init=False)
    side: np.ndarray = field(init=False)
    depth: np.ndarray = field(init=False)
    far: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        mesh = self.mesh
        skin_faces = mesh.faces[(mesh.faces < len(mesh.skin)).all(1)]
        lips = mesh.mouth[mouth.BORDER : mouth.CONTACT + 1]
        columns = np.arange(lips.shape[1])
        side = np.where((columns > mouth.QUARTER) & (columns < 3 * mouth.QUARTER), -1.0, 1.0)
        side[[mouth.QUARTER, 3 * mouth.QUARTER]] = 0.0
        p = mesh.points[mesh.skin]
        is_far = (p[:, 2] < 12) | (p[:, 1] > 30) | (p[:, 1] < -150)
        is_far[mesh.left_ear] = True
        is_far[mesh.mirror[mesh.left_ear]] = True
        for lids in (mesh.left_lids, mesh.right_lids):
            is_far[lids[3:]] = True
        is_far[mesh.mouth[mouth.CONTACT + 4 :]] = True
        is_far[mesh.throat] = True
        nose = (np.abs(p[:, 0]) < 17) & (p[:, 1] > -45) & (p[:, 2] > 96) | (np.abs(p[:, 0]) < 8) & (p[:, 1] > -49)
        is_far |= nose
        values = {
            "energy": bending_energy(p, skin_faces),
            "lips": lips,
            "t": mesh.points[lips[-1], 0] / mouth.CORNER_X,
            "side": side,
            "depth": np.linspace(0.0, 1.0, len(lips)),
            "far": is_far,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def near(self, centre: tuple[float, float, float], radius: float) -> np.ndarray:
        """Skin vertices outside lips, lids and cavity within a distance of a point."""
        p = self.mesh.points[self.mesh.skin]
        close = np.linalg.norm(p - np.array(centre), axis=1) < radius
        close[self.mesh.mouth[mouth.BORDER - 1 :]] = False
        close[self.mesh.left_lids[2:]] = False
        close[self.mesh.right_lids[2:]] = False
        return np.flatnonzero(close)

    def pull(self, pulls: list[tuple[np.ndarray, np.ndarray]], held: np.ndarray) -> np.ndarray:
        """Displacement (V, 3) of the whole mesh when places of the skin are pulled.

        Args:
            pulls: pairs of vertices (P,) and displacements (P, 3) or (3,); the first pair that names a vertex counts.
            held: (V_skin,) skin that stays.
        """
        vertices = np.concatenate([v.ravel() for v, _ in pulls])
        values = np.concatenate([np.broadcast_to(d, (v.size, 3)) for v, d in pulls])
        vertices, first = np.unique(vertices, return_index=True)
        result = np.zeros_like(self.mesh.points)
        result[self.mesh.skin] = follow(self.energy, vertices, values[first], held.copy())
        return result

    def move_lips(
        self,
        at_border: np.ndarray,
        at_contact: np.ndarray,
        extra: list[tuple[np.ndarray, np.ndarray]] | None = None,
        held: np.ndarray | None = None,
        in_the_red: np.ndarray | None = None,
    ) -> np.ndarray:
        """Displacement (V, 3) when the lips are moved and the skin and the inside of the mouth follow.

        Args:
            at_border: (columns, 3) displacement of the border of the red.
            at_contact: (columns, 3) displacement of the contact.
            extra: further pulls, as in `pull`.
            held: skin that stays; `far` if not given.
            in_the_red: (columns, 3) added half way between border and contact.
        """
        d = self.depth[:, None, None]
        move = (1 - d) * at_border + d * at_contact
        if in_the_red is not None:
            move = move + 4 * d * (1 - d) * in_the_red
        slit = self.mesh.mouth[mouth.CONTACT + 1]
        pulls = [(self.lips, move.reshape(-1, 3)), (slit, 0.97 * at_contact), *(extra or [])]
        return self.pull(pulls, self.far if held is None else held)

    def mirrored(self, displacement: np.ndarray) -> np.ndarray:
        """The mirror image of a displacement (V, 3)."""
        return displacement[self.mesh.mirror] * np.array([-1.0, 1.0, 1.0])

    def symmetric(self, displacement: np.ndarray) -> np.ndarray:
        """A displacement made exactly symmetric."""
        return 0.5 * (displacement + self.mirrored(displacement))


def vectors(x: np.ndarray | float = 0.0, y: np.ndarray | float = 0.0, z: np.ndarray | float = 0.0) -> np.ndarray:
    """(N, 3) vectors from components that broadcast."""
    return np.stack(np.broadcast_arrays(x, y, z), -1).astype(float)
