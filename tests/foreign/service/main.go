// A small account core in memory: accounts.v1 over gRPC and Kafka, written from the contract alone.
//
// It is here to prove that the bench measures any service that speaks the contract, in whatever
// language. It is real as far as it goes: balances, locks, fills, fees, idempotency, both topics.
// It says what it has not: no durability, no digest, no history, no two-phase transfers, and, for
// tests of services that have only part of the contract, whatever --without names.
//
// One line on stdout when it serves: ready {"grpc_port": N}. It stops on SIGTERM, SIGINT and at the
// end of its stdin, if that is a pipe.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	pb "acctbench.invalid/foreign/accountsv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

const grace = 2 * time.Second

// parts are the parts of the contract that are left out.
type parts map[string]bool

var leavable = []string{"control", "ledger", "balances", "balances_read", "amend", "reserve_stream"}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address; port 0 picks one")
	broker := flag.String("kafka", "", "broker, host:port")
	prefix := flag.String("topic-prefix", "", "of every topic")
	reference := flag.String("reference-data", "", "JSON file of what is traded, for a service without control")
	leftOut := flag.String("without", "", "parts to leave out, by comma: "+strings.Join(leavable, ", "))
	tokenEnv := flag.String("token-env", "", "environment variable: what `authorization` of every call must be")
	flag.Parse()
	without, err := parseParts(*leftOut)
	if err != nil {
		fail(err)
	}
	if err := serve(*listen, *broker, *prefix, *reference, *tokenEnv, without); err != nil {
		fail(err)
	}
}

func parseParts(text string) (parts, error) {
	found := parts{}
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		if !strings.Contains(","+strings.Join(leavable, ",")+",", ","+name+",") {
			return nil, fmt.Errorf("--without %s: write any of %s", name, strings.Join(leavable, ", "))
		}
		found[name] = true
	}
	return found, nil
}

func serve(listen, broker, prefix, reference, tokenEnv string, without parts) error {
	out, err := connect(broker, withPrefix(prefix), !without["ledger"], !without["balances"])
	if err != nil {
		return err
	}
	core := newCore(out)
	if reference != "" {
		if err := loadFile(core, reference); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer(guards(tokenEnv)...)
	pb.RegisterAccountServiceServer(server, &accountService{core: core, without: without})
	if !without["control"] {
		pb.RegisterControlServiceServer(server, &controlService{core: core, events: out, without: without})
	}
	ctx, cancel := context.WithCancel(context.Background())
	go out.emit(ctx)
	go out.consume(ctx, core)
	go func() {
		awaitEnd()
		stopped := time.AfterFunc(grace, server.Stop)
		server.GracefulStop()
		stopped.Stop()
	}()
	fmt.Printf("ready {\"grpc_port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	err = server.Serve(listener)
	flushing, done := context.WithTimeout(context.Background(), grace)
	defer done()
	out.close(flushing)
	cancel()
	return err
}

func loadFile(core *core, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data := new(pb.ReferenceData)
	if err := protojson.Unmarshal(text, data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return core.load(data)
}

// guards refuses every call without the token, if there is one.
func guards(tokenEnv string) []grpc.ServerOption {
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20)}
	if tokenEnv == "" {
		return options
	}
	wanted := os.Getenv(tokenEnv)
	check := func(ctx context.Context) error {
		sent, _ := metadata.FromIncomingContext(ctx)
		if values := sent.Get("authorization"); wanted == "" || len(values) != 1 || values[0] != wanted {
			return status.Error(codes.Unauthenticated, "authorization: missing, or not the one that is known here")
		}
		return nil
	}
	return append(options,
		grpc.UnaryInterceptor(func(
			ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler,
		) (any, error) {
			if err := check(ctx); err != nil {
				return nil, err
			}
			return next(ctx, r)
		}),
		grpc.StreamInterceptor(func(
			owner any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler,
		) error {
			if err := check(stream.Context()); err != nil {
				return err
			}
			return next(owner, stream)
		}),
	)
}

// awaitEnd waits for a signal, or for the end of stdin where somebody holds its other end.
func awaitEnd() {
	ended := make(chan os.Signal, 2)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			ended <- syscall.SIGTERM
		}()
	}
	<-ended
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
