"""The learner of the ranking's weights: experts, their mixture, proposals, and the evidence for them.

It proposes; publishing a version belongs to `steps`.
"""
