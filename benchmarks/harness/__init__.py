"""What all benchmarks share: how they launch, measure, sum up and show. None of them measures in any other way."""
