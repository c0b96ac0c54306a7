// Student's t, and intervals of the difference of two arms, as in ganbench.analysis.contrasts.

function logGamma(x) { // Lanczos
  const terms = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 0.001208650973866179, -0.000005395239384953];
  const sum = terms.reduce((total, term, n) => total + term / (x + 1 + n), 1.000000000190015);
  return (x + 0.5) * Math.log(x + 5.5) - (x + 5.5) + Math.log(2.5066282746310005 * sum / x);
}

function betaFraction(x, a, b) { // Lentz's continued fraction
  const tiny = 1e-300, safe = (v) => (Math.abs(v) < tiny ? tiny : v);
  let c = 1, d = 1 / safe(1 - (a + b) * x / (a + 1)), h = d;
  for (let m = 1; m < 500; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / safe(1 + even * d);
    c = safe(1 + even / c);
    h *= d * c;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / safe(1 + odd * d);
    c = safe(1 + odd / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return h;
}

function incompleteBeta(x, a, b) { // regularized
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * betaFraction(x, a, b) / a : 1 - front * betaFraction(1 - x, b, a) / b;
}

const tTail = (t, freedom) => incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5); // both tails

function tQuantile(share, freedom) { // for shares above a half, by bisection
  let low = 0, high = 1;
  while (tTail(high, freedom) > 2 * (1 - share)) high *= 2;
  for (let n = 0; n < 100 && high - low > 1e-12 * high; n++) {
    const middle = (low + high) / 2;
    if (tTail(middle, freedom) > 2 * (1 - share)) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

const meanOf = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

function varianceOf(values) {
  const mean = meanOf(values);
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1);
}

// The difference `one - other`: paired over the seeds of one cell, else Welch's

function differenceOf(one, other, isPaired) {
  if (isPaired) {
    const changes = one.map((v, n) => [v, other[n]]).filter(([a, b]) => a !== null && b !== null).map(([a, b]) => a - b);
    return withInterval(meanOf(changes), varianceOf(changes) / changes.length, changes.length - 1, changes.length);
  }
  const sides = [known(one), known(other)], errors = sides.map((v) => varianceOf(v) / v.length);
  const total = errors[0] + errors[1];
  const terms = errors.map((error, n) => error ** 2 / (sides[n].length - 1));
  return withInterval(meanOf(sides[0]) - meanOf(sides[1]), total, total ** 2 / (terms[0] + terms[1]), Math.min(...sides.map((v) => v.length)));
}

function withInterval(mean, variance, freedom, count) {
  if (!(variance > 0) || !(freedom > 0)) return { mean, low: NaN, high: NaN, p: NaN, count };
  const error = Math.sqrt(variance), half = tQuantile(0.975, freedom) * error;
  return { mean, low: mean - half, high: mean + half, p: tTail(Math.abs(mean) / error, freedom), count };
}

const toScale = { // the scale of the analysis
  none: (v) => v,
  log: (v) => Math.log(Math.max(v, 1e-12)),
  logit: (v) => { const inside = Math.min(Math.max(v, 1e-4), 1 - 1e-4); return Math.log(inside / (1 - inside)); },
};
