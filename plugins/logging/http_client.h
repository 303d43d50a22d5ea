// One POST after the other to one URL, over a connection that is kept. Blocking, bounded in time and size;
// the writer's thread alone.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "curl_library.h"
#include "sink.h"

namespace logging {

struct HttpTarget {
  std::string url;
  std::string content_type;
  std::vector<std::string> fields;                             // "name: value" of each further one
  std::string ca;                                              // a file; empty: the system's authorities
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);  // until an answer is whole
  size_t max_answer = 0;                                       // bytes of its body
};

class HttpClient {
 public:
  struct Answer {
    long status = 0;    // 0: there is none
    std::string error;  // why not
    std::string body;
    bool cut = false;  // the body is longer than max_answer
    std::optional<std::chrono::seconds> retry_after;
  };

  HttpClient(const CurlLibrary& curl, HttpTarget target, const Ending& ending);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Answer post(std::string_view body);

 private:
  void set_up();
  void add_field(const std::string& field);
  static size_t on_body(char* bytes, size_t, size_t count, void* self);
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

  const CurlLibrary& curl_;
  const HttpTarget target_;
  const Ending& ending_;
  CURL* handle_;
  curl_slist* fields_ = nullptr;
  char why_[CURL_ERROR_SIZE] = {};
  Answer answer_;
};

}  // namespace logging
