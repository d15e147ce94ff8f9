/* SPDX-License-Identifier: GPL-2.0 */
/* Series made up for the judges' tests, the same on every machine: splitmix64, Box and Muller. */
#ifndef SYNTHETIC_H
#define SYNTHETIC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SYN_START 1767225600.0	/* 2026-01-01 */
#define SYN_STEP 21600.0	/* 6 h */
#define SYN_DAY 86400.0
#define SYN_MAX 12000

struct syn {
	uint64_t seed;
	size_t n;
	double t[SYN_MAX], y[SYN_MAX];
};

static inline double syn_uniform(struct syn *s)
{
	uint64_t z = s->seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return ((z >> 11) + 0.5) / 9007199254740992.0;
}

static inline double syn_normal(struct syn *s)
{
	double r = sqrt(-2 * log(syn_uniform(s)));

	return r * cos(2 * M_PI * syn_uniform(s));
}

/* Starts afresh: @days of samples each six hours, all 0 */
static inline void syn_flat(struct syn *s, double days)
{
	size_t i;

	s->n = days * SYN_DAY / SYN_STEP;
	for (i = 0; i < s->n; i++) {
		s->t[i] = SYN_START + i * SYN_STEP;
		s->y[i] = 0;
	}
}

/* Noise of standard deviation 1 with memory: @phi is what one sample keeps of the one before */
static inline void syn_noise(struct syn *s, double phi)
{
	double v = syn_normal(s);
	size_t i;

	for (i = 0; i < s->n; i++) {
		s->y[i] += v;
		v = phi * v + sqrt(1 - phi * phi) * syn_normal(s);
	}
}

/* A rhythm of one day, of which each time of day has its own share */
static inline void syn_daily(struct syn *s, double height)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->y[i] += height * sin(2 * M_PI * (s->t[i] - SYN_START) / SYN_DAY + 0.5);
}

/* From @day on, so much a day */
static inline void syn_ramp(struct syn *s, double day, double a_day)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->y[i] += a_day * fmax(0, (s->t[i] - SYN_START) / SYN_DAY - day);
}

static inline void syn_step(struct syn *s, double day, double height)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->y[i] += s->t[i] >= SYN_START + day * SYN_DAY ? height : 0;
}

/* Fills up to @height, with what is left falling to a third each @tau days */
static inline void syn_fill(struct syn *s, double tau, double height)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->y[i] += height * (1 - exp((SYN_START - s->t[i]) / SYN_DAY / tau));
}

/* Grows by @height until it starts afresh after @period days */
static inline void syn_saw(struct syn *s, double period, double height)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->y[i] += height * fmod((s->t[i] - SYN_START) / SYN_DAY / period + 0.37, 1);
}

#endif /* SYNTHETIC_H */
