#include "http/http1/body_pace.h"

#include <doctest/doctest.h>

using namespace penstock::http;
using http1::BodyPace;

namespace {
constexpr uint64_t window = DownstreamConnection::slow_body_ms;

DownstreamSettings at_rate(uint32_t rate) {
  DownstreamSettings settings;
  settings.min_body_rate = rate;
  return settings;
}
}  // namespace

TEST_CASE("a byte now and then does not make a body any faster") {
  BodyPace pace;
  const DownstreamSettings settings = at_rate(240);
  pace.start(settings);
  CHECK(pace.slow_since_ms() == UINT64_MAX);
  pace.patience_ms(settings, 1'000, 0);
  CHECK(pace.take_moved_on());
  for (uint64_t bytes = 1; bytes < 60; ++bytes) pace.patience_ms(settings, 1'000 + bytes * 900, bytes);
  CHECK(pace.slow_since_ms() == 1'000);
  CHECK(!pace.take_moved_on());
}

TEST_CASE("a slow body that keeps its rate is never slow for as long as a full door bears it") {
  BodyPace pace;
  const DownstreamSettings settings = at_rate(240);
  pace.start(settings);
  pace.patience_ms(settings, 0, 0);
  for (uint64_t now = 100, bytes = 0; now < 20 * window; now += 100) {
    CHECK(now - pace.slow_since_ms() < window);
    pace.patience_ms(settings, now, bytes += 30);
  }
}

TEST_CASE("without a minimum rate each byte counts, and the time in which nobody reads never does") {
  BodyPace pace;
  const DownstreamSettings settings = at_rate(0);
  pace.start(settings);
  pace.patience_ms(settings, 1'000, 0);
  pace.patience_ms(settings, 2'000, 1);
  CHECK(pace.slow_since_ms() == 2'000);
  pace.stop(3'000, 1);
  CHECK(pace.slow_since_ms() == UINT64_MAX);
  pace.patience_ms(settings, 9'000, 1);
  CHECK(pace.slow_since_ms() == 9'000);
}
