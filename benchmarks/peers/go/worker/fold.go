// Folds a report into the row of its series: duplicates, late reports, resets, rates, minutes, trend. It knows no Kafka.
package main

import (
	"math"
	"slices"
)

const (
	keptMinutes   = 30
	keptEventIDs  = 16
	trendMinutes  = 8
	minuteUs      = 60_000_000
	fastHalfLifeS = 60.0
	slowHalfLifeS = 600.0
	gapWeight     = 1.0 / 8
	trendSlope    = 0.01
	hashFactor    = 0xC6A4A7935BD1E995
	hashShift     = 47
)

// newRow is the row of a series before its first report.
func newRow(report *progressReported, key string, partition int32) *seriesState {
	now := report.ReceivedAt
	row := &seriesState{
		key: key, partition: partition,
		ProjectID: report.ProjectID, TaskID: report.TaskID, SubtaskName: report.SubtaskName,
		FirstSeen: now, LastSeen: now, Replicated: report.ReplicateSize,
		OpenMinute: now / minuteUs * minuteUs, Trend: "WARMING", Health: "OK", HealthSince: now,
	}
	restartMeasuring(row, now, report.ReplicateSize)
	return row
}

// fold reports whether the row changed; closed is called for every minute that ends, before the row has the new report.
func fold(row *seriesState, report *progressReported, closed func(*rateWindow)) bool {
	if isDuplicate(row, report.EventID) {
		return false
	}
	now := report.ReceivedAt
	isReset := report.ReplicateSize < row.Replicated
	row.Reports++
	if isReset && !row.Held {
		row.Held = true
		return true
	}
	if row.Held && !isReset {
		row.Stale++
	}
	row.Held = false
	if now < row.LastSeen {
		row.Skewed++
		now = row.LastSeen
	}
	openBefore := row.OpenMinute
	if isReset {
		row.OpenBytes += row.Replicated - row.RatedBytes
		advanceMinutes(row, now, 0, row.LastSeen, closed)
		row.Resets++
		restartMeasuring(row, now, report.ReplicateSize)
	} else {
		if report.ReplicateSize > row.Replicated || report.Progress > row.Progress {
			row.LastAdvance = now
		}
		if report.Progress < row.Progress {
			row.Regressions++
		}
		if now > row.LastSeen {
			measure(row, now, report.ReplicateSize-row.RatedBytes, closed)
			row.RatedBytes = report.ReplicateSize
		}
	}
	copyReport(row, report, now)
	if isReset || row.OpenMinute > openBefore {
		firstWhole := (row.RatedFrom + minuteUs - 1) / minuteUs * minuteUs
		row.Complete = int32(min(max((row.OpenMinute-firstWhole)/minuteUs, 0), keptMinutes))
		setTrend(row)
	}
	if row.RateSlow != nil && *row.RateSlow > 0 {
		set(&row.EtaS, float64(row.Total-row.Replicated)/(*row.RateSlow))
	}
	if health := healthOf(row, now); health != row.Health {
		row.Health, row.HealthSince = health, now
	}
	return true
}

func restartMeasuring(row *seriesState, now, done int64) {
	row.LastAdvance, row.RatedFrom, row.RatedBytes, row.Samples = now, now, done, 0
	row.RateFast, row.RateSlow, row.RatePeak = nil, nil, nil
}

// isDuplicate reports whether the row has folded this event; if not, the event becomes the newest of the row's ids.
func isDuplicate(row *seriesState, eventID string) bool {
	if eventID == "" {
		return false
	}
	hash := eventHash(eventID)
	if slices.Contains(row.EventIDs, hash) {
		return true
	}
	row.EventIDs = appendNewest(row.EventIDs, hash, keptEventIDs)
	return false
}

// appendNewest appends to the newest values, of which `most` are kept.
func appendNewest(values []int64, value int64, most int) []int64 {
	if len(values) == most {
		copy(values, values[1:])
		values = values[:most-1]
	}
	return append(values, value)
}

// eventHash is MurmurHash64A with a seed of 0, and 1 in place of 0, as the hashes in the state are.
func eventHash(text string) int64 {
	digest := uint64(len(text)) * hashFactor
	for ; len(text) >= 8; text = text[8:] {
		word := uint64(0)
		for index := range 8 {
			word |= uint64(text[index]) << (8 * index)
		}
		word *= hashFactor
		word ^= word >> hashShift
		digest = (digest ^ word*hashFactor) * hashFactor
	}
	if text != "" {
		word := uint64(0)
		for index := range len(text) {
			word |= uint64(text[index]) << (8 * index)
		}
		digest = (digest ^ word) * hashFactor
	}
	digest = (digest ^ digest>>hashShift) * hashFactor
	digest ^= digest >> hashShift
	return int64(max(digest, 1))
}

// measure updates minutes and rates with the bytes since the last report, which came evenly in between.
func measure(row *seriesState, now, gained int64, closed func(*rateWindow)) {
	advanceMinutes(row, now, gained, now, closed)
	stepS, totalS := float64(now-row.LastSeen)/1e6, float64(now-row.RatedFrom)/1e6
	sample := float64(gained) / stepS
	set(&row.RateFast, mean(row.RateFast, sample, stepS, totalS, fastHalfLifeS))
	set(&row.RateSlow, mean(row.RateSlow, sample, stepS, totalS, slowHalfLifeS))
	if row.RatePeak == nil || *row.RatePeak < *row.RateFast {
		set(&row.RatePeak, *row.RateFast)
	}
	row.Samples++
	if row.TypicalGap == nil {
		set(&row.TypicalGap, stepS)
	} else {
		*row.TypicalGap += (stepS - *row.TypicalGap) * gapWeight
	}
}

// advanceMinutes closes the minutes that end by `until`; of a gap, the newest 30 one by one, the older ones as one.
func advanceMinutes(row *seriesState, until, gained, measuredUntil int64, closed func(*rateWindow)) {
	last, begin, assigned := until/minuteUs*minuteUs, row.LastSeen, int64(0)
	if last > row.OpenMinute {
		edge := row.OpenMinute + minuteUs
		assigned = gainedBy(gained, begin, until, edge)
		closeMinutes(row, row.OpenMinute, 1, row.OpenBytes+assigned, until, measuredUntil, closed)
		if older := (last-edge)/minuteUs - keptMinutes; older > 0 {
			by := gainedBy(gained, begin, until, edge+older*minuteUs)
			closeMinutes(row, edge, older, by-assigned, until, measuredUntil, closed)
			assigned, edge = by, edge+older*minuteUs
		}
		for ; edge < last; edge += minuteUs {
			by := gainedBy(gained, begin, until, edge+minuteUs)
			closeMinutes(row, edge, 1, by-assigned, until, measuredUntil, closed)
			assigned = by
		}
		row.OpenMinute, row.OpenBytes = last, 0
	}
	row.OpenBytes += gained - assigned
}

// gainedBy is how many of the bytes gained between two reports had come by a moment.
func gainedBy(gained, begin, until, moment int64) int64 {
	if moment >= until {
		return gained
	}
	return min(int64(float64(gained)*(float64(moment-begin)/float64(until-begin))), gained)
}

func closeMinutes(row *seriesState, start, minutes, bytes, until, measuredUntil int64, closed func(*rateWindow)) {
	if minutes == 1 {
		row.MinuteBytes = appendNewest(row.MinuteBytes, bytes, keptMinutes)
	}
	widthS := 60 * float64(minutes)
	closed(&rateWindow{
		ProjectID: row.ProjectID, TaskID: row.TaskID, SubtaskName: row.SubtaskName,
		WindowStart: start, Minutes: int32(minutes), WidthS: widthS, Bytes: bytes, RateBps: float64(bytes) / widthS,
		Complete: start >= row.RatedFrom && start+minutes*minuteUs <= measuredUntil,
		Progress: row.Progress, Replicated: row.Replicated, Total: row.Total, ClosedAt: until,
	})
}

// setTrend fits a line to the logarithms of the complete minutes' bytes, by least squares.
func setTrend(row *seriesState) {
	count := int(row.Complete)
	if count < trendMinutes {
		row.Trend = "WARMING"
		return
	}
	var logs [keptMinutes]float64
	average := 0.0
	for index, bytes := range row.MinuteBytes[len(row.MinuteBytes)-count:] {
		logs[index] = math.Log(float64(max(1, bytes)))
		average += logs[index] / float64(count)
	}
	cross, square := 0.0, 0.0
	for index := range count {
		distance := float64(index) - float64(count-1)/2
		cross += distance * (logs[index] - average)
		square += distance * distance
	}
	slope := cross / square
	set(&row.TrendSlope, 100*math.Expm1(slope))
	switch {
	case slope < -trendSlope:
		row.Trend = "SLOWING"
	case slope > trendSlope:
		row.Trend = "ACCELERATING"
	default:
		row.Trend = "STEADY"
	}
}

func copyReport(row *seriesState, report *progressReported, now int64) {
	row.LastSeen = now
	row.Progress, row.Replicated, row.Total = report.Progress, report.ReplicateSize, report.TotalSize
	row.ProcessTrace = report.ProcessTrace
	row.MigrateSpeed, row.CompressRate, row.RemainTime = report.MigrateSpeed, report.CompressRate, report.RemainTime
	row.TotalCPU, row.AgentCPU = report.TotalCPU, report.AgentCPU
	row.TotalMem, row.AgentMem = report.TotalMem, report.AgentMem
	row.TotalDisk, row.AgentDisk = report.TotalDisk, report.AgentDisk
	row.NeedTest, row.AgentTime = report.NeedTest, report.AgentTime
}

func healthOf(row *seriesState, now int64) string {
	switch {
	case row.Progress == 100:
		return "COMPLETE"
	case now-row.LastAdvance > minuteUs:
		return "NO_PROGRESS"
	}
	return "OK"
}

// mean is the exponentially weighted mean in continuous time, without the bias of its start.
func mean(before *float64, sample, stepS, totalS, halfLifeS float64) float64 {
	if before == nil {
		return sample
	}
	decay := math.Ln2 / halfLifeS
	return *before + (sample-*before)*(math.Expm1(-stepS*decay)/math.Expm1(-totalS*decay))
}

func set(field **float64, value float64) {
	if *field == nil {
		*field = new(float64)
	}
	**field = value
}
