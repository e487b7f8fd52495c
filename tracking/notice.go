package tracking

import (
	"context"
	"time"
)

// Notice is what others are still to be told about an upload. It enters the record in the same compare-and-swap as the state that it tells
// of, so that neither is there without the other, and leaves it when everybody has said that they heard it. Until then it is told
// again and again: at least once. A state that is left before it was told, as unknown may be, is told no more.
type Notice struct {
	ID    string    `json:"id" bson:"id"`                      // the same each time it is told
	Event string    `json:"event" bson:"event"`                // "upload.completed", "upload.aborted" or "upload.failed"
	Since time.Time `json:"since" bson:"since"`                // when the state was reached; UTC, milliseconds
	Due   time.Time `json:"due,omitzero" bson:"due,omitempty"` // when it is told next: in the future while a gateway is at it; zero: given up
	Left  []string  `json:"left" bson:"left"`                  // names of those who have not heard it
	Tries int       `json:"tries" bson:"tries"`                //
}

// Notices finds what is to be told. Safe for concurrent use.
type Notices interface {
	// DueNotices returns up to limit (1..1000) uploads whose Notice is due before before, the longest due first.
	DueNotices(ctx context.Context, before time.Time, limit int) ([]Upload, error)
}
