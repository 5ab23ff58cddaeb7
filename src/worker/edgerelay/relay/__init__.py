"""How the relay behaves: state machines without input or output. Events go in, commands come out."""
