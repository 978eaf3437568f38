"""Names and order of Apple ARKit's 52 face blendshapes and of the head rotation that goes with them.

Order as in `ARFaceAnchor.BlendShapeLocation` as Live Link Face writes it, so that column k of a motion array is column k
of the CSV. Left and right are the subject's own; the subject's left is +X.
"""

ARKIT_CURVES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight",
    "eyeWideRight",
    "jawForward", "jawRight", "jawLeft", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "noseSneerLeft", "noseSneerRight",
    "tongueOut",
)  # fmt: skip

# Radians, applied about the head's pivot in the order yaw (about +Y, positive turns to the subject's left), pitch (about
# +X, positive nods down), roll (about +Z, positive tilts the crown towards the subject's right).
HEAD_ROTATION: tuple[str, ...] = ("headYaw", "headPitch", "headRoll")

# The motion features of the embedded head, in order.
ARKIT_FEATURES: tuple[str, ...] = ARKIT_CURVES + HEAD_ROTATION
