"""Many studies: find the cases, run each in a process of its own, keep what came of it, tabulate.

    cases.py     a data set -> its cases (case.py), from tree.py or manifest.py
    names.py     what each case is called, the same in every run of one output
    worker.py    the process that runs cases, one after the other
    child.py     that process seen from outside: start it, hand it a case, lose patience, kill it
    records.py   what came of each case, on disk, so that a run can be resumed
    engine.py    cases to an executor and records back
    cohort.py    cases.csv, cohort.csv, cohort.parquet
    gallery.py   index.html

A case is isolated by its process: whatever it does, hang, crash or fill the memory, the others go
on. The processes live on, so that a network is loaded once and not for every case.
"""
