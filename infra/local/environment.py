"""The mark by which a process of a stack is known, whoever its parent is now."""

MARKER = "TAPEHOUSE_STACK"
