// A model file in OpenVINO from C++: what the network is given in, boxes and scores out.
//
//   OV=$(python -c "import openvino, pathlib; print(pathlib.Path(openvino.__file__).parent)")
//   g++ -std=c++17 -O2 run_model.cpp -I"$OV/include" "$OV"/libs/libopenvino.so.* -Wl,-rpath,"$OV/libs" -o run_model
//   python run_model.py --tensor picture.png image.f32
//   ./run_model model.onnx image.f32 0.25
//
// It prints number of class, score and corners in pixels of the input for each box above the threshold, as the network
// gives them; with two more names it writes all boxes and scores as float32. How a picture is fitted into the input is
// `fit` in run_model.py. Where `suppression` in deployment.json is nms, boxes/nms.py says what follows.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>
#include <string>

static void write(const char* path, const ov::Tensor& tensor) {
    std::ofstream(path, std::ios::binary)
        .write(static_cast<const char*>(tensor.data()), static_cast<std::streamsize>(tensor.get_byte_size()));
}

int main(int count, char** words) {
    if (count != 4 && count != 6) {
        std::cerr << "run_model MODEL TENSOR THRESHOLD [BOXES SCORES]\n";
        return 2;
    }
    ov::Core core;
    auto model = core.read_model(words[1]);
    const auto side = static_cast<size_t>(model->input("images").get_partial_shape()[2].get_length());
    // float32 unless the file is quantised: on some processors OpenVINO else takes a narrower type by itself
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32),
                                       ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                                       ov::inference_num_threads(1), ov::num_streams(1),
                                       ov::hint::enable_cpu_pinning(false));
    auto request = compiled.create_infer_request();

    ov::Tensor images(ov::element::f32, {1, 3, side, side});
    std::ifstream file(words[2], std::ios::binary);
    const auto bytes = static_cast<std::streamsize>(images.get_byte_size());
    if (!file.read(static_cast<char*>(images.data()), bytes) || file.peek() != EOF) {
        std::cerr << words[2] << ": not a tensor of " << bytes << " bytes\n";
        return 1;
    }
    request.set_tensor("images", images);
    request.infer();

    const auto boxes = request.get_tensor("boxes"), scores = request.get_tensor("scores");
    const size_t points = scores.get_shape()[1], classes = scores.get_shape()[2];
    const float *corner = boxes.data<float>(), *score = scores.data<float>();
    const float threshold = std::strtof(words[3], nullptr);
    for (size_t p = 0; p < points; ++p)
        for (size_t c = 0; c < classes; ++c)
            if (score[p * classes + c] > threshold)
                std::cout << c << ' ' << score[p * classes + c] << ' ' << corner[4 * p] << ' ' << corner[4 * p + 1]
                          << ' ' << corner[4 * p + 2] << ' ' << corner[4 * p + 3] << '\n';
    if (count == 6) {
        write(words[4], boxes);
        write(words[5], scores);
    }
    return 0;
}
