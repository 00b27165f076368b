"""What the control API shows of a running system beside its status; reads only."""
