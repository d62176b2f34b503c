"""The label canary: do the labels of a training look like labels, before anything is learnt from them?"""

from churnlake.canary.counts import Cutoff, Labels, Level, Rule, Share
from churnlake.canary.judgement import Finding, judge_labels

__all__ = ["Cutoff", "Finding", "Labels", "Level", "Rule", "Share", "judge_labels"]
