package harness

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// The MongoDB-compatible servers that `make deps` installs; see e2e/deps/mongodb.sh.
const (
	SecantusDB      = "secantusdb"
	MongoJavaServer = "mongo-java-server"
)

// StartMongo starts one of them over an empty directory of dir.
func StartMongo(ctx context.Context, dir, name string) (*Server, error) {
	bin, err := Tool(filepath.Join("mongodb", name))
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, name)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	return startServer(ctx, filepath.Join(dir, name+".log"), func(addr string) (string, []string, []string) {
		_, port, _ := net.SplitHostPort(addr)
		return bin, []string{port, data}, nil
	})
}
