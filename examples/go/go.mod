module edgerelay/examples

go 1.25

require (
	github.com/coder/websocket v1.8.15
	github.com/fxamacker/cbor/v2 v2.10.0
	github.com/klauspost/compress v1.20.4
)

require github.com/x448/float16 v0.8.4 // indirect
