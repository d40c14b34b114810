"""Predicts runs on machines that are not here: the engine itself, with models that only take time.

A setting (`rehearsal.Setting`) is step times (`times.Given`, `profile.Profile` of a finished run, `roofline.Roofline`
of two models on devices), acceptance (`acceptance.rate`, `ByPosition`, or `Replay` of recorded rounds) and the dials.
`rehearsal.simulate` gives records as a run does, and `vsd.metrics.stats` the numbers. The command line is
``vsd simulate``.
"""
