#include "observe/prometheus.h"

#include <doctest/doctest.h>

#include <string>

using namespace penstock::observe;

TEST_CASE("label values and help are escaped as the text format asks") {
  PrometheusText out;
  out.family("x_total", MetricKind::counter, "a \"quoted\" \\ help\nover two lines");
  out.sample({{"route", "a\"b\\c\nd"}}, 3);
  CHECK(out.text() ==
        "# HELP x_total a \"quoted\" \\\\ help\\nover two lines\n"
        "# TYPE x_total counter\n"
        "x_total{route=\"a\\\"b\\\\c\\nd\"} 3\n");
}

TEST_CASE("a histogram is written with cumulative buckets, sum and count") {
  PrometheusText out;
  out.family("d_seconds", MetricKind::histogram, "d");
  double bounds[] = {0.005, 1};
  uint64_t buckets[] = {2, 0, 1};
  Label labels[] = {{"m", "GET"}};
  out.histogram(labels, bounds, buckets, 2.5);
  CHECK(out.text() ==
        "# HELP d_seconds d\n# TYPE d_seconds histogram\n"
        "d_seconds_bucket{m=\"GET\",le=\"0.005\"} 2\n"
        "d_seconds_bucket{m=\"GET\",le=\"1\"} 2\n"
        "d_seconds_bucket{m=\"GET\",le=\"+Inf\"} 3\n"
        "d_seconds_sum{m=\"GET\"} 2.5\n"
        "d_seconds_count{m=\"GET\"} 3\n");
}

TEST_CASE("a duration falls into the bucket whose upper bound it does not exceed") {
  Histogram histogram;
  histogram.record(5'000'000);       // exactly 0.005 s
  histogram.record(5'000'001);       // just over it
  histogram.record(60'000'000'000);  // over the last bound
  histogram.record(-1);              // a clock that went nowhere
  CHECK(histogram.buckets[0] == 2);
  CHECK(histogram.buckets[1] == 1);
  CHECK(histogram.buckets.back() == 1);
  CHECK(histogram.count == 4);
}

TEST_CASE("requests are counted by route, method, status and reason, also when texts move in memory") {
  RequestMetrics metrics;
  std::string first = "orders", second = "orders";
  metrics.record(first, "GET", 200, "", "1.1", 1000);
  metrics.record(second, "GET", 200, "", "1.1", 1000);
  metrics.record(first, "BREW", 404, "route.none", "1.1", 1000);
  first = "users!";  // the same memory, another route
  metrics.record(first, "GET", 200, "", "1.1", 1000);
  REQUIRE(metrics.series().size() == 3);
  CHECK(metrics.series().at({"orders", "GET", 200, "", "1.1"}).count == 2);
  CHECK(metrics.series().at({"orders", "_OTHER", 404, "route.none", "1.1"}).count == 1);
  CHECK(metrics.series().at({"users!", "GET", 200, "", "1.1"}).count == 1);
}

TEST_CASE("requests are counted by the version that their client speaks") {
  RequestMetrics metrics;
  const std::string route = "orders";
  for (int i = 0; i < 2; ++i)
    for (const char* version : {"1.0", "1.1", "2"}) metrics.record(route, "GET", 200, "", version, 1000);
  REQUIRE(metrics.series().size() == 3);
  for (const char* version : {"1.0", "1.1", "2"})
    CHECK(metrics.series().at({"orders", "GET", 200, "", version}).count == 2);
}

TEST_CASE(
    "errors of HTTP/2 connections are counted by their code, and no series is made of what a peer says") {
  RequestMetrics one, all;
  for (uint32_t code : {0u, 1u, 11u, 11u, 4711u}) one.http2_errors.count(code);
  one.http2_connections = 2, one.http2_streams = 5;
  all.merge(one);
  PrometheusText out;
  write_requests(out, all);
  const std::string text = out.text();
  for (std::string_view line : {"penstock_http2_connection_errors_total{error=\"PROTOCOL_ERROR\"} 1\n",
                                "penstock_http2_connection_errors_total{error=\"INTERNAL_ERROR\"} 1\n",
                                "penstock_http2_connection_errors_total{error=\"ENHANCE_YOUR_CALM\"} 2\n",
                                "penstock_http2_open_connections 2\n", "penstock_http2_open_streams 5\n"})
    CHECK(text.find(line) != text.npos);
  CHECK(text.find("error=\"NO_ERROR\"") == text.npos);
}

TEST_CASE("the number of series is bounded") {
  RequestMetrics metrics;
  for (size_t i = 0; i < RequestMetrics::max_series + 100; ++i)
    metrics.record("r" + std::to_string(i), "GET", 200, "", "1.1", 1);
  CHECK(metrics.series().size() == RequestMetrics::max_series + 1);
  CHECK(metrics.series().at({"other", "_OTHER", 0, "other", "1.1"}).count == 100);
}

TEST_CASE("shares of several workers add up") {
  RequestMetrics one, two, all;
  one.record("a", "GET", 200, "", "1.1", 1);
  two.record("a", "GET", 200, "", "1.1", 1);
  two.record("b", "GET", 500, "plugin.error", "2", 1);
  one.active_requests = 2, two.active_requests = 3, two.open_connections = 7;
  two.count_retry();
  all.merge(one);
  all.merge(two);
  CHECK(all.series().at({"a", "GET", 200, "", "1.1"}).count == 2);
  CHECK(all.active_requests == 5);
  CHECK(all.open_connections == 7);
  CHECK(all.retries() == 1);
  PrometheusText out;
  write_requests(out, all);
  CHECK(out.text().find(
            "http_server_request_duration_seconds_count{http_route=\"b\",http_request_method=\"GET\","
            "http_response_status_code=\"500\",error_type=\"plugin.error\",network_protocol_version=\"2\"} "
            "1\n") != std::string::npos);
  CHECK(out.text().find("http_server_active_requests 5\n") != std::string::npos);
}
