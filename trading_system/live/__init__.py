"""The running system: streams, account, session and the processes around it."""
