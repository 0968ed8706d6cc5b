"""Floor 7: the command line: verbs that parse, call one library function, and print.

    hornbook quickstart | tokenize | train | generate | chat | show | report | compare

Exit codes: 0 done, 1 stopped or failed, 2 a mistake that the message says how to mend.
"""

from hornbook.cli.main import main as main
