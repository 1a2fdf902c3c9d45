"""The loop: one job from its settings to its summary. Blind to which strategy trains and to what computes."""
