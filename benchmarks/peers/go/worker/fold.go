// Folds a report into the row of its series: counts, rates, minutes, trend, health, ETA. It knows no Kafka.
package main

import "math"

const (
	keptMinutes   = 30
	trendMinutes  = 8
	minuteUs      = 60_000_000
	fastHalfLifeS = 60.0
	slowHalfLifeS = 600.0
	gapWeight     = 1.0 / 8
	trendSlope    = 0.01
)

// fold updates the row; closed is called for every minute that ends, before the row has the new report.
func fold(row *seriesState, report *progressReported, closed func(*rateWindow)) {
	now := report.ReceivedAt
	if row.Reports == 0 {
		begin(row, report)
	}
	row.Reports++
	if now < row.LastSeen {
		row.Skewed++
		now = row.LastSeen
	}
	switch {
	case report.ReplicateSize < row.Replicated:
		row.Resets++
		row.RatedFrom, row.RatedBytes, row.Samples = now, report.ReplicateSize, 0
		row.RateFast, row.RateSlow = nil, nil
	default:
		if report.ReplicateSize > row.Replicated || report.Progress > row.Progress {
			row.LastAdvance = now
		}
		if now > row.LastSeen {
			measure(row, report, now, closed)
		}
	}
	copyReport(row, report, now)
	if row.RateSlow != nil && *row.RateSlow > 0 {
		set(&row.EtaS, float64(row.Total-row.Replicated)/(*row.RateSlow))
	}
	if health := healthOf(row, now); health != row.Health {
		row.Health, row.HealthSince = health, now
	}
}

func begin(row *seriesState, report *progressReported) {
	now := report.ReceivedAt
	row.ProjectID, row.TaskID, row.SubtaskName = report.ProjectID, report.TaskID, report.SubtaskName
	row.FirstSeen, row.LastSeen, row.LastAdvance, row.RatedFrom, row.HealthSince = now, now, now, now, now
	row.Replicated, row.RatedBytes = report.ReplicateSize, report.ReplicateSize
	row.OpenMinute = now / minuteUs * minuteUs
	row.Trend, row.Health = "WARMING", "OK"
}

// measure updates minutes and rates with the bytes since the last report, which came evenly in between.
func measure(row *seriesState, report *progressReported, now int64, closed func(*rateWindow)) {
	gained := report.ReplicateSize - row.Replicated
	advanceMinutes(row, now, gained, closed)
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

func advanceMinutes(row *seriesState, now, gained int64, closed func(*rateWindow)) {
	last, assigned := now/minuteUs*minuteUs, int64(0)
	if last <= row.OpenMinute {
		row.OpenBytes += gained
		return
	}
	share := func(until int64) int64 {
		return int64(float64(gained) * float64(until-row.LastSeen) / float64(now-row.LastSeen))
	}
	width := int64(1)
	for start := row.OpenMinute; start < last; start += width * minuteUs {
		if width = 1; start > row.OpenMinute {
			width = max(1, (last-start)/minuteUs-keptMinutes)
		}
		by := share(start + width*minuteUs)
		bytes := by - assigned
		if start == row.OpenMinute {
			bytes += row.OpenBytes
		}
		assigned = by
		closed(&rateWindow{
			ProjectID: row.ProjectID, TaskID: row.TaskID, SubtaskName: row.SubtaskName,
			WindowStart: start, Minutes: int32(width), WidthS: 60 * float64(width),
			Bytes: bytes, RateBps: float64(bytes) / (60 * float64(width)), Complete: start >= row.RatedFrom,
			Progress: row.Progress, Replicated: row.Replicated, Total: row.Total, ClosedAt: now,
		})
		row.MinuteBytes = append(row.MinuteBytes, bytes)
	}
	if over := len(row.MinuteBytes) - keptMinutes; over > 0 {
		row.MinuteBytes = append(row.MinuteBytes[:0], row.MinuteBytes[over:]...)
	}
	row.OpenMinute, row.OpenBytes, row.Complete = last, gained-assigned, int32(len(row.MinuteBytes))
	setTrend(row)
}

// setTrend fits a line to the logarithms of the minutes' bytes, by least squares.
func setTrend(row *seriesState) {
	count := len(row.MinuteBytes)
	if count < trendMinutes {
		return
	}
	var logs [keptMinutes]float64
	average := 0.0
	for index, bytes := range row.MinuteBytes {
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
	return *before + (sample-*before)*math.Expm1(-stepS*decay)/math.Expm1(-totalS*decay)
}

func set(field **float64, value float64) {
	if *field == nil {
		*field = new(float64)
	}
	**field = value
}
