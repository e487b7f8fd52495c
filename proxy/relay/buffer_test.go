package relay

import "testing"

func TestBuffersOfAThousandTransfersAreBounded(t *testing.T) {
	const transfers, bound = 1000, 48 << 20
	var taken []*buffer
	total := 0
	for range transfers {
		b := takeBuffer(false)
		taken, total = append(taken, b), total+len(b.bytes)
	}
	if total > bound {
		t.Errorf("%d transfers hold %d bytes of buffers, want %d at most", transfers, total, bound)
	}
	for _, b := range taken {
		b.giveBack()
	}
	b := takeBuffer(false)
	defer b.giveBack()
	if len(b.bytes) != largeBuffer {
		t.Errorf("a lone transfer gets %d bytes, want %d: the others gave theirs back", len(b.bytes), largeBuffer)
	}
}

func TestABufferHoldsARecordWhole(t *testing.T) {
	const record = 16 << 10
	b := takeBuffer(true)
	defer b.giveBack()
	if room := len(b.bytes) - chunkFrame; room < record {
		t.Errorf("a chunk has room for %d bytes, want %d: every record would be sent as two", room, record)
	}
}
