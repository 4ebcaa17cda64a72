"""What must not leave the site: secrets always; names of hosts, addresses, users and prompts on demand."""
