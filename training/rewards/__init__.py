"""What GRPO pays for: one file a reward, each built on the evaluation's own metrics."""
