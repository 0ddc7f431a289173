"""What a trained run gives to users: lists."""
