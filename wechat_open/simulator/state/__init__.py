"""What WeChat holds, and the rules that change it: no I/O."""
