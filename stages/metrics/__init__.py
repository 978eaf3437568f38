"""How good a sampled motion is: formulas over tensors, and the catalogue that names them.

`geometry` (distances, dynamics, jitter), `lip_sync` (correlation of lip motion), `diversity` (spread of takes) and
`statistics` (intervals over clips) are functions over tensors. `faces` turns one clip's takes and truth into vertices, a
few at a time; `catalogue` says which formula, over which region, in which unit, has which name on the command line.

Every comparison of a take with the truth leaves head pose out, because head motion is not speech. With N takes a clip's
value is the mean over its takes.
"""
