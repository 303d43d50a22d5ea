#include "curl_library.h"

#include <dlfcn.h>

namespace logging {
namespace {

constexpr const char* file_name = "libcurl.so.4";

template <class Function>
bool find(void* object, const char* name, Function& out) {
  out = reinterpret_cast<Function>(::dlsym(object, name));
  return out != nullptr;
}

bool find_all(void* object, CurlLibrary& curl) {
  return find(object, "curl_global_init", curl.global_init) &&
         find(object, "curl_easy_init", curl.easy_init) &&
         find(object, "curl_easy_setopt", curl.easy_setopt) &&
         find(object, "curl_easy_perform", curl.easy_perform) &&
         find(object, "curl_easy_getinfo", curl.easy_getinfo) &&
         find(object, "curl_easy_strerror", curl.easy_strerror) &&
         find(object, "curl_easy_cleanup", curl.easy_cleanup) &&
         find(object, "curl_slist_append", curl.slist_append) &&
         find(object, "curl_slist_free_all", curl.slist_free_all);
}

struct Loaded {
  CurlLibrary curl{};
  std::string error;
  Loaded() {
    void* object = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (object == nullptr) {
      const char* why = ::dlerror();
      error = why != nullptr ? why : file_name;
    } else if (!find_all(object, curl) || curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      error = std::string(file_name) + " is not usable";
    }
  }
};

}  // namespace

const CurlLibrary* load_curl(std::string& error) {
  static const Loaded loaded;
  error = loaded.error;
  return loaded.error.empty() ? &loaded.curl : nullptr;
}

}  // namespace logging
