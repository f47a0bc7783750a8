fetch forward %(rows)s from tidegate_state
