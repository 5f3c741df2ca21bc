"""Whole-process fault injection: a small country of real processes, a load, and a seeded plan of faults.

    python -m bench.chaos --seconds 120 --seed 7

Beside the benchmark, because both start the same processes and compare the same books (`bench.books`), and
because everything here is type-checked like the product. One module for one thing: `plan` says what happens
when, `country` runs the processes, `faults_*` know how to break them and mend them, `load` offers documents,
`check` compares what came with what was sent, `run` puts it together.
"""
