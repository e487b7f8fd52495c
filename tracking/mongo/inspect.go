package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// CheckURI finds what is wrong with a URI without asking anybody. Of mongodb+srv it says nothing: that asks DNS.
func CheckURI(uri string) error {
	if strings.HasPrefix(uri, "mongodb+srv://") {
		return nil
	}
	if err := options.Client().ApplyURI(uri).Validate(); err != nil {
		return fmt.Errorf("mongodb: uri: %w", err)
	}
	return nil
}

// Inspection is what there is to know about a server and a database before a gateway relies on them.
type Inspection struct {
	Version    string    // of the server
	Time       time.Time // there, when it answered; zero: it does not say
	ReplicaSet string    // "": a server of its own
	Mongos     bool      // a router of a sharded cluster
	Schema     int64     // of the database; 0: no gateway has used it yet
	Newest     int64     // that this version knows
	Missing    []string  // indexes, as COLLECTION.NAME; a gateway that starts makes them
	Write      error     // of a write that a majority must have on disk; nil: acknowledged
}

// Inspect looks, and makes nothing but one document in meta, which it takes away. ErrUnavailable if nobody answers.
func Inspect(ctx context.Context, c Config) (*Inspection, error) {
	s, err := connect(c)
	if err != nil {
		return nil, err
	}
	found, err := s.inspect(ctx)
	return found, errors.Join(err, s.Close())
}

func (s *Store) inspect(ctx context.Context) (*Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
		SetName   string    `bson:"setName"`
		Msg       string    `bson:"msg"`
	}
	db := s.meta.Database()
	err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	if isUnknownCommand(err) {
		err = db.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&hello)
	}
	if err != nil {
		return nil, failed("hello", err)
	}
	found := &Inspection{Time: hello.LocalTime, ReplicaSet: hello.SetName, Mongos: hello.Msg == "isdbgrid", Newest: schemaVersion}
	var build struct{ Version string }
	if err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return nil, failed("build info", err)
	}
	found.Version = build.Version
	var has schemaDocument
	err = s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: "schema"}}).Decode(&has)
	if err != nil && !errors.Is(err, driver.ErrNoDocuments) {
		return nil, failed("read the schema", err)
	}
	found.Schema = has.Version
	if found.Missing, err = s.missingIndexes(ctx); err != nil {
		return nil, err
	}
	found.Write = s.tryWrite(ctx)
	return found, nil
}

func (s *Store) missingIndexes(ctx context.Context) ([]string, error) {
	var missing []string
	for _, want := range s.indexes() {
		there, err := want.in.Indexes().ListSpecifications(ctx)
		if err != nil && !isNoCollection(err) {
			return nil, failed("list the indexes of "+want.in.Name(), err)
		}
		for _, index := range want.indexes {
			if !slices.ContainsFunc(there, func(i driver.IndexSpecification) bool { return i.Name == index.name }) {
				missing = append(missing, want.in.Name()+"."+index.name)
			}
		}
	}
	return missing, nil
}

// isNoCollection: the collection is made by the first gateway that starts. NamespaceNotFound in MongoDB's error codes.
func isNoCollection(err error) bool { return isCode(err, 26) }

// isUnknownCommand: CommandNotFound.
func isUnknownCommand(err error) bool { return isCode(err, 59) }

func isCode(err error, code int32) bool {
	var said driver.CommandError
	return errors.As(err, &said) && said.Code == code
}

// tryWrite writes as everything here is written: acknowledged by a majority, from the journal.
func (s *Store) tryWrite(ctx context.Context) error {
	id := bson.D{{Key: "_id", Value: "doctor-" + rand.Text()}}
	_, err := s.meta.InsertOne(ctx, id)
	_, gone := s.meta.DeleteOne(ctx, id) // also if the insert seemed to fail
	return failed("try a write", errors.Join(err, gone))
}
