// Counts answers by class of status. The counters live in the daemon: a reload or a new build of this plugin
// goes on where the last one was.
#include <penstock_plugin.hpp>

struct CountAnswers {
  static constexpr std::string_view type = "count_answers", version = "1.0.0";
  explicit CountAnswers(gw::setup& setup) {
    // Every series is declared here: labels never come from a request.
    constexpr std::string_view classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < answers.size(); ++i)
      answers[i] = setup.counter("example_answers_total", "Answers by class of status", "class", classes[i]);
  }
  void on_complete(gw::exchange, const gw_summary& summary) {
    const size_t kind = summary.status / 100;
    answers[kind < answers.size() ? kind : 0].add();
  }
  std::array<gw::counter, 6> answers;
};
GW_PLUGIN(CountAnswers)
