"""From labelled feature rows to a deployed model: split, train, calibrate, evaluate, judge, register, score."""
