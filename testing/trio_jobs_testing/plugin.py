"""What pytest loads: options, markers, fixtures, and the runner of Trio tests."""
