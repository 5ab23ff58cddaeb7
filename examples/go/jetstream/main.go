// Jetstream prints the events of Jetstream, compressed on their way, each once, whatever happens to the connection.
//
//	go run ./jetstream ws://127.0.0.1:8787 DICTIONARY [SINCE [FILTER ...]]
//
// DICTIONARY is the file of the dictionary that Jetstream compresses with. SINCE is a time to begin at, such as
// 2026-11-27T12:00:00Z, or now. Each FILTER is a collection, such as app.bsky.feed.post or app.bsky.graph.*, or an
// account's DID; without any, everything comes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/klauspost/compress/zstd"
)

const (
	maxMessageBytes = 10_000_000
	silence         = 15 * time.Second // a connection that says nothing for so long may be dead
	pause           = time.Second
)

type event struct {
	TimeUS int64  `json:"time_us"`
	Kind   string `json:"kind"`
	DID    string `json:"did"`
	Commit *struct {
		Operation  string `json:"operation"`
		Collection string `json:"collection"`
		Rkey       string `json:"rkey"`
	} `json:"commit"`
}

type reader struct {
	base  string
	query url.Values
	zstd  *zstd.Decoder
	last  int64 // store it with what you make of the events, and begin there after a restart
}

func main() {
	r := reader{base: os.Args[1], query: url.Values{"compress": {"true"}}}
	dictionary, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if r.zstd, err = zstd.NewReader(nil, zstd.WithDecoderDicts(dictionary)); err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 3 && os.Args[3] != "now" {
		since, err := time.Parse(time.RFC3339, os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		r.query.Set("cursor", fmt.Sprint(since.UnixMicro())) // a cursor is a time, in microseconds
	}
	for _, filter := range os.Args[min(4, len(os.Args)):] {
		if strings.HasPrefix(filter, "did:") {
			r.query.Add("wantedDids", filter)
		} else {
			r.query.Add("wantedCollections", filter)
		}
	}
	for {
		log.Print(r.read())
		time.Sleep(pause)
	}
}

// read prints events until the connection ends, and returns why it ended.
func (r *reader) read() error {
	conn, _, err := websocket.Dial(context.Background(), r.base+"/subscribe?"+r.query.Encode(), nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessageBytes)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), silence)
		_, message, err := conn.Read(ctx)
		cancel()
		if err != nil {
			return err
		}
		if err := r.receive(message); err != nil {
			return err
		}
	}
}

func (r *reader) receive(message []byte) error {
	text, err := r.zstd.DecodeAll(message, nil)
	if err != nil {
		return err
	}
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.TimeUS <= r.last { // the event of the cursor itself comes again
		return nil
	}
	r.last = e.TimeUS
	r.query.Set("cursor", fmt.Sprint(r.last))
	line := fmt.Sprint(e.TimeUS, " ", e.Kind, " ", e.DID)
	if e.Commit != nil {
		line += fmt.Sprintf(" %s %s/%s", e.Commit.Operation, e.Commit.Collection, e.Commit.Rkey)
	}
	fmt.Println(line)
	return nil
}
