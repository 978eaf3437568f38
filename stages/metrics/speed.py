"""How fast motion was made."""


def speed_of_sampling(speech_s: float, seconds_a_take: float) -> float:
    """Speed: seconds of speech over the seconds that the model took for a take, by the clock: 1 is real time, more is faster.

    Of the machine as much as of the model: it compares where all takes were made by one machine that did nothing else.
    Counted is all between the samples of the speech and the finished motion, so its encoding too, and whatever leads the
    sampling; loading the model, and scoring and choosing among takes, are not. Takes that are drawn in one batch share its
    time; those among which takes were chosen count towards the chosen ones. FaceFormer and CodeTalker make one take, however
    many are asked for. The first clip warms up, and is slower.

    Args:
        speech_s: length of the speech.
        seconds_a_take: as `thunder sample` noted them.
    """
    return speech_s / seconds_a_take
