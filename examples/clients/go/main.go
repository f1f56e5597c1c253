// Command generate prints what a server answers to Generate and GenerateStream, with the SHA-256 of the pixels.
//
// Usage: generate TARGET SEED OFFSET N
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example.com/generate/dcganv1"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: generate TARGET SEED OFFSET N")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
		os.Exit(1)
	}
}

func run(target string, numbers []string) error {
	seed, err := strconv.ParseUint(numbers[0], 10, 64)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseUint(numbers[1], 10, 64)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(numbers[2], 10, 32)
	if err != nil {
		return err
	}

	// Newer versions of gRPC prefer grpc.NewClient and insecure.NewCredentials.
	connection, err := grpc.Dial(target, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()
	client := pb.NewGeneratorServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	request := &pb.GenerateRequest{Seed: seed, Offset: offset, N: proto.Uint32(uint32(n))}
	reply, err := client.Generate(ctx, request)
	if err != nil {
		return err
	}
	if reply.Seed != seed || reply.Offset != offset || reply.N != uint32(n) {
		return fmt.Errorf("the reply is for seed %d, offset %d, n %d", reply.Seed, reply.Offset, reply.N)
	}

	streamed, err := hashStream(ctx, client, seed, offset, uint32(n))
	if err != nil {
		return err
	}

	pixels := sha256.Sum256(reply.Pixels)
	return json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"unary":  hex.EncodeToString(pixels[:]),
		"stream": streamed,
		"seed":   strconv.FormatUint(reply.Seed, 10),
		"offset": strconv.FormatUint(reply.Offset, 10),
		"n":      reply.N,
		"model":  reply.Provenance.Model,
		"digest": reply.Provenance.Digest,
	})
}

func hashStream(
	ctx context.Context, client pb.GeneratorServiceClient, seed, offset uint64, n uint32,
) (string, error) {
	request := &pb.GenerateStreamRequest{Seed: seed, Offset: offset, N: &n}
	stream, err := client.GenerateStream(ctx, request)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for {
		chunk, err := stream.Recv()
		if err == io.EOF {
			return hex.EncodeToString(hash.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		hash.Write(chunk.Pixels)
	}
}

// describe adds the reason of the contract to an error, and when to try again.
func describe(err error) string {
	text := err.Error()
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			text += "; reason " + detail.Reason
		case *errdetails.RetryInfo:
			seconds := time.Duration(detail.RetryDelay.GetSeconds()) * time.Second
			nanos := time.Duration(detail.RetryDelay.GetNanos())
			text += "; try again in " + (seconds + nanos).String()
		}
	}
	return text
}
