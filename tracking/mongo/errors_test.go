package mongo

import (
	"context"
	"errors"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"partway/tracking"
)

func TestFailed(t *testing.T) {
	duplicate := driver.WriteErrors{{Code: 11000}}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"no document", driver.ErrNoDocuments, tracking.ErrNotFound},
		{"duplicate", driver.WriteException{WriteErrors: duplicate}, tracking.ErrExists},
		{"duplicate of what no majority holds yet",
			driver.WriteException{WriteErrors: duplicate, WriteConcernError: &driver.WriteConcernError{Code: 64}}, tracking.ErrUnavailable},
		{"written, but by no majority yet", driver.WriteException{WriteConcernError: &driver.WriteConcernError{Code: 64}}, tracking.ErrUnavailable},
		{"duplicate among several", driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{{WriteError: duplicate[0]}}}, tracking.ErrExists},
		{"duplicate among several of what no majority holds yet", driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{{WriteError: duplicate[0]}},
			WriteConcernError: &driver.WriteConcernError{Code: 64}}, tracking.ErrUnavailable},
		{"refused for another reason", driver.CommandError{Code: 13, Message: "not authorized"}, tracking.ErrUnavailable},
		{"deadline", context.DeadlineExceeded, tracking.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := failed("try", c.err); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if err := failed("try", nil); err != nil {
		t.Errorf("error %v from none", err)
	}
}

// Of several batches none is passed over because another was there: only where the server says which it was.
func TestWhereAnInsertEndedIsTheServersToSay(t *testing.T) {
	fourth := driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{{WriteError: driver.WriteError{Index: 3, Code: 11000}}}}
	if at, said := failedAt(fourth); at != 3 || !said {
		t.Errorf("the fourth: %d, %v", at, said)
	}
	for _, err := range []error{driver.CommandError{Code: 11000}, driver.BulkWriteException{WriteConcernError: &driver.WriteConcernError{Code: 64}}, context.DeadlineExceeded} {
		if at, said := failedAt(err); at != 0 || said {
			t.Errorf("%v: %d, %v", err, at, said)
		}
	}
}
