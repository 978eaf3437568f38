"""How good a sampled motion is: formulas over tensors, and the catalogue that names them.

`geometry` (distances, dynamics, jitter), `lip_sync` (correlation of lip motion), `diversity` (spread of takes) and
`statistics` (intervals over clips) are functions over tensors. `faces` turns one clip's takes and truth into vertices, a
few at a time; `catalogue` says which formula, over which region, in which unit, has which name on the command line.

Speech has its own: `speech_recovery` (what a mesh-to-speech model hears in a take) and `readability` (what a recogniser reads
in that) are metrics of the catalogue. `evaluate-m2s` measures the listeners themselves: `judged_clips` are what there is to
hear, `hearers` who hears it, `reconstruction`, `intelligibility` and `phone_confusions` the figures, `hearing_bench` all
clips, and `hearing_table` the rows over seeds.

Every comparison of a take with the truth leaves head pose out, because head motion is not speech. With N takes a clip's
value is the mean over its takes.
"""
