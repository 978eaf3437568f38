import re

from stages.corpora.corpus import clip_id, split_by_subject


def test_nobody_is_shared_and_everybody_is_placed() -> None:
    for count in range(1, 45):
        names = [f"s{k}" for k in range(count)]
        splits = split_by_subject(names)
        assert splits.keys() == set(names)
        sizes = [list(splits.values()).count(split) for split in ("train", "val", "test")]
        tenth = max(1, round(count / 10))
        assert sizes[1:] == [tenth if count >= 3 else 0, tenth if count >= 2 else 0]
        assert sizes[0] >= 1


def test_the_draw_depends_on_names_and_seed_alone() -> None:
    names = [f"s{k}" for k in range(40)]
    assert split_by_subject(names) == split_by_subject(reversed(names * 2))
    assert split_by_subject(names) != split_by_subject(names, seed=1)
    # By `printf '0 cem' | sha256sum` and so on, the order is cem, ann, bob.
    assert split_by_subject(["ann", "bob", "cem"]) == {"cem": "test", "ann": "val", "bob": "train"}


def test_clip_ids_are_plain_and_stay_apart() -> None:
    assert clip_id("ann", "take-1.b") == "ann_take-1.b"
    odd = [
        clip_id("José", "año 1"),
        clip_id("Jose", "ano-1"),
        clip_id("早", "上"),
        clip_id("早", "下"),
        clip_id("a/b", "c"),
    ]
    assert len(set(odd)) == len(odd)
    for identity in odd:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", identity)
