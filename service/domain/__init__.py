"""What a sales department is: pure, no I/O, no clock."""
