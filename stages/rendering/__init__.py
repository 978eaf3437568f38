"""Pictures of meshes: a differentiable rasteriser, antialiasing, cameras, light, and films with sound."""
