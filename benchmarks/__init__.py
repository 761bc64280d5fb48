"""What must be fast, beside what a user would pick instead: ``python -m benchmarks``."""
