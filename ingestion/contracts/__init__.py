"""What a message is: records, envelope, identity, topics."""
