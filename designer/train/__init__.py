"""Training: one process a run, one folder a run."""

import os

# Set before torch is loaded: its threads wait for each other some thousand times a step, and libgomp lets them spin for
# a millisecond each time. Beside other work the thread that is waited for often does not run, and each wait then takes
# a slice of the scheduler's time: a step of YOLOv8n at 64 pixels on two busy cores took 10 s instead of 0.4. On an
# idle machine there is no difference.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
