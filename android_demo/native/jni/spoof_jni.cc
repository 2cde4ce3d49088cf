// The scorer for the JVM: the native methods of org.scriptable.host.NativeEngine.
//
// A handle is not thread-safe; the caller must not use it from two threads at once, nor after
// nativeClose.
#include <jni.h>

#include <cmath>
#include <string>
#include <vector>

#include "error.h"
#include "scorer.h"

namespace {

// A Java exception is on its way: leave native code.
struct Pending {};

template <typename Result>
Result checked(JNIEnv* env, Result result) {
  if (env->ExceptionCheck()) throw Pending();
  return result;
}

// JNI's own strings are in a variant of UTF-8: take and give bytes.
std::string to_utf8(JNIEnv* env, jstring text) {
  const jclass type = checked(env, env->FindClass("java/lang/String"));
  const jmethodID get_bytes =
      checked(env, env->GetMethodID(type, "getBytes", "(Ljava/lang/String;)[B"));
  const jstring charset = checked(env, env->NewStringUTF("UTF-8"));
  const auto bytes =
      static_cast<jbyteArray>(checked(env, env->CallObjectMethod(text, get_bytes, charset)));
  std::string result(static_cast<std::size_t>(env->GetArrayLength(bytes)), '\0');
  env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(result.size()),
                          reinterpret_cast<jbyte*>(result.data()));
  return result;
}

jstring from_utf8(JNIEnv* env, const std::string& text) {
  const auto size = static_cast<jsize>(text.size());
  const jbyteArray bytes = checked(env, env->NewByteArray(size));
  env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text.data()));
  const jclass type = checked(env, env->FindClass("java/lang/String"));
  const jmethodID make =
      checked(env, env->GetMethodID(type, "<init>", "([BLjava/lang/String;)V"));
  const jstring charset = checked(env, env->NewStringUTF("UTF-8"));
  return static_cast<jstring>(checked(env, env->NewObject(type, make, bytes, charset)));
}

void raise(JNIEnv* env, const char* type, const std::string& message) {
  try {
    const jclass found = checked(env, env->FindClass(type));
    const jmethodID make =
        checked(env, env->GetMethodID(found, "<init>", "(Ljava/lang/String;)V"));
    const jobject error = checked(env, env->NewObject(found, make, from_utf8(env, message)));
    env->Throw(static_cast<jthrowable>(error));
  } catch (const Pending&) {
  }
}

// Runs what may throw; a C++ exception must not cross into the JVM.
template <typename Body, typename Result>
Result guarded(JNIEnv* env, const char* type, Result otherwise, Body body) {
  try {
    return body();
  } catch (const Pending&) {
  } catch (const std::bad_alloc&) {
    raise(env, "java/lang/OutOfMemoryError", "out of memory in native code");
  } catch (const std::exception& error) {
    raise(env, type, error.what());
  }
  return otherwise;
}

spoof::Scorer* scorer_of(jlong handle) { return reinterpret_cast<spoof::Scorer*>(handle); }

}  // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_org_scriptable_host_NativeEngine_nativeLoad(JNIEnv* env, jobject,
                                                                         jstring path,
                                                                         jint threads) {
  return guarded(env, "java/io/IOException", jlong{0}, [&] {
    if (threads < 1) throw spoof::Error("threads: expected 1 or more, got " + std::to_string(threads));
    return reinterpret_cast<jlong>(new spoof::Scorer(to_utf8(env, path), threads));
  });
}

JNIEXPORT jstring JNICALL Java_org_scriptable_host_NativeEngine_nativeContract(JNIEnv* env, jobject,
                                                                               jlong handle) {
  return guarded(env, "java/lang/IllegalStateException", jstring{nullptr},
                 [&] { return from_utf8(env, scorer_of(handle)->contract_text()); });
}

JNIEXPORT jfloat JNICALL Java_org_scriptable_host_NativeEngine_nativeScore(JNIEnv* env, jobject,
                                                                           jlong handle,
                                                                           jfloatArray window) {
  spoof::Scorer* scorer = scorer_of(handle);
  const jsize size = env->GetArrayLength(window);
  if (size != scorer->contract().num_samples) {
    raise(env, "java/lang/IllegalArgumentException",
          "window: expected " + std::to_string(scorer->contract().num_samples) +
              " samples, got " + std::to_string(size));
    return 0;
  }
  return guarded(env, "java/lang/IllegalStateException", jfloat{0}, [&] {
    std::vector<float> samples(static_cast<std::size_t>(size));
    env->GetFloatArrayRegion(window, 0, size, samples.data());
    // Told as any wrong argument is: a model may well answer such a window.
    for (const float sample : samples)
      if (!std::isfinite(sample)) {
        raise(env, "java/lang/IllegalArgumentException", "window: contains NaN or infinite samples");
        throw Pending();
      }
    return jfloat{scorer->score_window(samples.data())};
  });
}

JNIEXPORT void JNICALL Java_org_scriptable_host_NativeEngine_nativeClose(JNIEnv*, jobject,
                                                                         jlong handle) {
  delete scorer_of(handle);
}

}  // extern "C"
