// A model in ncnn from C++: what the network is given in, boxes and scores out.
//
// NOT COMPILED where this folder was made: the Python package of ncnn has no headers. Build ncnn from
// https://github.com/Tencent/ncnn and install it into $NCNN:
//
//   g++ -std=c++17 -O2 -fopenmp run_model.cpp -I"$NCNN/include/ncnn" -L"$NCNN/lib" -lncnn -o run_model
//   python run_model.py --tensor picture.png image.f32
//   ./run_model model image.f32 SIDE 0.25
//
// SIDE is `size` in deployment.json; a third word after the threshold, fp16, stores weights and maps in 16 bits. It
// prints number of class, score and corners in pixels of the input for each box above the threshold, as the network
// gives them. How a picture is fitted into the input is `fit` in run_model.py. Where `suppression` in deployment.json is
// nms, boxes/nms.py says what follows.
#include <net.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

int main(int count, char** words) {
    if (count != 5 && count != 6) {
        std::cerr << "run_model FOLDER TENSOR SIDE THRESHOLD [fp16]\n";
        return 2;
    }
    const std::string folder = words[1];
    const bool half = count == 6 && !std::strcmp(words[5], "fp16");
    ncnn::Net net;
    net.opt.num_threads = 1;
    net.opt.use_vulkan_compute = false;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half;
    if (net.load_param((folder + "/model.param").c_str()) || net.load_model((folder + "/model.bin").c_str())) {
        std::cerr << folder << ": not a model that ncnn reads\n";
        return 1;
    }
    const int side = std::atoi(words[3]);
    ncnn::Mat image(side, side, 3);
    std::ifstream file(words[2], std::ios::binary);
    for (int channel = 0; channel < 3; ++channel)  // a channel may begin behind a gap
        file.read(static_cast<char*>(image.channel(channel)), static_cast<std::streamsize>(sizeof(float)) * side * side);
    if (!file) {
        std::cerr << words[2] << ": too short for 3 x " << side << " x " << side << " float32\n";
        return 1;
    }
    ncnn::Extractor extractor = net.create_extractor();
    extractor.input("in0", image);
    ncnn::Mat boxes, scores;
    if (extractor.extract("out0", boxes) || extractor.extract("out1", scores)) return 1;
    const float threshold = std::strtof(words[4], nullptr);
    for (int p = 0; p < scores.h; ++p)
        for (int c = 0; c < scores.w; ++c)
            if (scores.row(p)[c] > threshold)
                std::cout << c << ' ' << scores.row(p)[c] << ' ' << boxes.row(p)[0] << ' ' << boxes.row(p)[1] << ' '
                          << boxes.row(p)[2] << ' ' << boxes.row(p)[3] << '\n';
    return 0;
}
