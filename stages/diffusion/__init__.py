"""Schedule, samplers and guidance: functions over any denoiser that estimates x_0."""
