def moment_bound(program, upper):
    return 0.0
