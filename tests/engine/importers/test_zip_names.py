"""Code pages are guessed from class names as people give them, by the words of each language."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.importers.zip_names import ENCODINGS, FALLBACK, LANGUAGES, guess_encoding, known_encoding, name_in

JAPANESE = """猫 犬 鳥 うさぎ ネコ キズ 正常 不良品 良品 異物 汚れ 打痕 ひび割れ カブトムシ 桜 富士山 信号機 その他
    訓練データ 乗用車 トラック 表面 ソース 能 蝶々 テスト画像 柴犬 三毛猫 味噌汁 焼き魚 ラーメン 寿司 剥離 鋳巣"""
CHINESE = """猫 狗 正常 划痕 缺陷 裂纹 金毛 哈士奇 老虎 狮子 长颈鹿 玫瑰花 向日葵 苹果 香蕉 其他垃圾 可回收物 训练集
    测试集 合格 不合格 轿车 卡车 凹坑 污渍 良性 恶性 蒲公英 郁金香 雏菊 啤酒 饺子 斑马 气孔 夹杂 焊缝 褶皱 锈斑 毛刺"""
TAIWANESE = """貓 狗 正常 刮痕 瑕疵 獅子 老虎 長頸鹿 蘋果 香蕉 其他 良品 不良品 訓練集 測試 機車 公車 颱風 臺北 茶葉
    蝴蝶 甲蟲 玫瑰 向日葵 麻雀 藍鵲 石虎 芒果 鳳梨 滷肉飯 小籠包 氣泡 異物 破裂"""
KOREAN = """고양이 개 강아지 정상 불량 스크래치 사과 바나나 자동차 버스 새 호랑이 기타 훈련 시험 김치 비빔밥 떡볶이 장미
    해바라기 나비 사람 남자 여자 균열 오염 찍힘 양성 악성 폐렴 트럭 자전거 소 말"""
RUSSIAN = """кошка собака Кошки Собаки норма дефект трещина Царапина лошадь Медведь волк лиса заяц машина Автобус дом
    дерево Роза яблоко Другое брак тест обучение грузовик"""
GERMAN = "Käfer Bär Hündin Löwe Vögel Fußgänger Öl Äpfel größe hören über Türen Möwe Grünfläche"
FRENCH = "éléphant chèvre café forêt Café flèche hérisson défaut rayé cassé noël crème brûlée règle garçon"
SPANISH = "niño pájaro piña león ratón avión camión árbol ñandú limón sartén pingüino"
DANISH = "smørrebrød blåbær ål ørn æble hånd grøn bjørn træ fløde bræt"
POLISH = "żółw łoś gęś źrebię sęp bażant dąb świnia jabłko śliwka żaba Łódź"
CZECH = "kočka kůň žába štěně křeček říše kuře jehně borůvka veverka švestka růže"
GREEK = "γάτα σκύλος άλογο πρόβατο μήλο αυτοκίνητο δέντρο Άλλο λουλούδι"
TURKISH = "köpek kuş çiçek ağaç İnek şeker balık kırmızı öğrenci güneş"
HEBREW = "חתול כלב סוס פרה תפוח מכונית עץ אחר"
ARABIC = "قطة كلب حصان بقرة تفاحة سيارة شجرة"
THAI = "แมว หมา ม้า วัว รถยนต์ ต้นไม้ ดอกไม้ นก"
WORDS = [
    *(("cp932", JAPANESE), ("gb18030", CHINESE), ("big5", TAIWANESE), ("cp949", KOREAN)),
    *((encoding, RUSSIAN) for encoding in ("cp866", "cp1251", "koi8_r")),
    *(
        (encoding, words)
        for encoding in ("cp850", "cp1252", "mac_roman")
        for words in (GERMAN, FRENCH, SPANISH, DANISH)
    ),
    *(("cp437", GERMAN), ("cp437", FRENCH)),
    *((encoding, words) for encoding in ("cp852", "cp1250") for words in (POLISH, CZECH)),
    *(("cp737", GREEK), ("cp1253", GREEK), ("cp857", TURKISH), ("cp1254", TURKISH), ("cp862", HEBREW)),
    *(("cp1255", HEBREW), ("cp720", ARABIC), ("cp1256", ARABIC), ("cp874", THAI)),
]
MOSTLY_RIGHT_ALONE = {"cp932", "gb18030", "big5", "cp949", "cp866", "cp1251", "koi8_r", "cp437", "cp850", "cp1252"}


def paths(words: list[str], encoding: str) -> list[bytes]:
    return [f"set/{word}/IMG_{number}.jpg".encode(encoding) for word in words for number in range(2)]


def read(raw: list[bytes], encoding: str) -> list[str | None]:
    return [name_in(one, encoding) for one in raw]


@pytest.mark.parametrize(("encoding", "text"), WORDS)
def test_the_right_reading_of_a_single_word_is_taken_or_offered_and_never_denied(encoding: str, text: str) -> None:
    words = [word for word in text.split() if not word.isascii()]
    right = 0
    for word in words:
        raw = paths([word], encoding)
        guess = guess_encoding(raw)
        readings = [read(raw, one) for one in (guess.encoding, *guess.alternatives)]
        assert read(raw, encoding) in readings, (word, guess)
        assert not guess.sure or readings[0] == read(raw, encoding), (word, guess)
        right += readings[0] == read(raw, encoding)
    assert right >= 0.8 * len(words) or encoding not in MOSTLY_RIGHT_ALONE


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_several_words_of_one_language_are_read_right(data: st.DataObject) -> None:
    encoding, text = data.draw(st.sampled_from(WORDS))
    words = [word for word in text.split() if not word.isascii()]
    chosen = data.draw(st.lists(st.sampled_from(words), min_size=6, max_size=10, unique=True))
    raw = paths(chosen, encoding)
    guess = guess_encoding(raw)
    assert read(raw, guess.encoding) == read(raw, encoding), (chosen, guess)


@example([b"\x81A\xb0\xcf/\x00\x80\xb0"])
@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_get_a_known_encoding_and_others_that_differ_from_it(raw: list[bytes]) -> None:
    guess = guess_encoding(raw)
    assert guess.encoding in ENCODINGS
    assert set(guess.alternatives) <= set(ENCODINGS) - {guess.encoding}
    readings = [read(raw, one) for one in (guess.encoding, *guess.alternatives)]
    assert all(readings.count(reading) == 1 for reading in readings)
    assert len(guess.alternatives) <= 5


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=10))
def test_valid_utf8_is_taken_for_it(names: list[str]) -> None:
    assert guess_encoding([name.encode() for name in names]).encoding == "utf-8"


def test_utf8_that_could_be_a_chinese_character_is_unsure() -> None:
    guess = guess_encoding(["猫/1.png".encode("gbk")])  # the bytes are valid UTF-8, for “è”
    assert not guess.sure
    assert "gb18030" in guess.alternatives
    assert guess_encoding(["Käfer/1.png".encode()]).sure
    assert guess_encoding(["猫/1.png".encode()]).sure


def test_one_damaged_name_does_not_change_the_encoding_of_the_others() -> None:
    raw = paths(CHINESE.split(), "gb18030")
    assert guess_encoding([*raw, "猫".encode("gb18030")[:1] + b"\xff.png"]).encoding == "gb18030"


def test_many_names_are_looked_at_in_bounded_time() -> None:
    raw = [
        f"画像/{word}{chr(0x4E00 + number)}.png".encode("cp932", "ignore")
        for word in JAPANESE.split()
        for number in range(3000)
    ]
    assert guess_encoding(raw).encoding == "cp932"


def test_all_encodings_keep_ascii_have_words_and_the_fallback_reads_every_byte() -> None:
    for encoding in ENCODINGS:
        assert bytes(range(128)).decode(encoding) == bytes(range(128)).decode("ascii")
        assert LANGUAGES[encoding]
    assert name_in(bytes(range(256)), FALLBACK) is not None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *(("GBK", "gb18030"), ("Windows-1252", "cp1252"), ("shift_jis", "cp932"), ("Shift-JIS", "cp932")),
        *(("IBM437", "cp437"), ("UTF8", "utf-8"), ("euc-kr", "cp949"), ("KOI8-R", "koi8_r"), ("latin2", "iso8859_2")),
        *(("utf-16", None), ("klingon", None), ("", None), ("\0", None), ("rot13", None)),
    ],
)
def test_encodings_are_known_by_their_usual_names(name: str, known: str | None) -> None:
    assert known_encoding(name) == known
