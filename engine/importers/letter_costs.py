"""How likely a text is as a name that a person gives, by language: what zip_names compares code pages with.

A cost is −ln(probability), roughly, of a character; a language's model gives it for each that is not ASCII.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import cache

Model = Callable[[str], float]
_ONLY_LAST = frozenset("ςםןץףךةى")  # letters that end a word


def text_cost(text: str, cost_of: Model) -> float:
    """Return how unlikely a text is as a part of a path, in a language."""
    total = 0.0
    before = ""
    for character in text:
        if character.isascii():
            total += ascii_cost(character)
        else:
            total += cost_of(character)
            if character.isupper() and not before.isalpha():
                total -= 1.0  # a word that begins with a capital is nothing special
        if before and not (before.isascii() and character.isascii()):
            total += _clash(before, character)
        before = character
    return total


def ascii_cost(character: str) -> float:
    """Return what an ASCII character costs in any language."""
    if character.islower():
        return 3.2
    if character.isupper():
        return 4.5
    return 3.5 if character.isdigit() or character in " ._-" else 5.5


def _clash(before: str, character: str) -> float:
    """Return how unlikely it is that these two stand side by side, beyond what each costs."""
    if not (_in_words(before) and _in_words(character)):
        fine = all(_in_words(one) or one.isdecimal() or one in " ._-()" for one in (before, character))
        return 0.0 if fine else 3.0
    if _script(before) != _script(character):
        return 5.0
    if before in _ONLY_LAST:
        return 4.0
    if _base(before) == _base(character) and character.lower() in "áàâãäåéèêëíìîïóòôõöúùûü":
        return 2.0  # “Straáe” is rather “Straße”
    if character.isupper():
        return 4.0 if before.islower() else 0.8
    return 0.0


def _base(character: str) -> str:
    return unicodedata.normalize("NFD", character)[0].lower()


@cache
def _in_words(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


@cache
def _script(character: str) -> str:
    """Return the first word of a letter's Unicode name; kanji and kana count as one, they share words."""
    word = unicodedata.name(character, "?").split()[0]
    return "CJK" if word in ("HIRAGANA", "KATAKANA", "HALFWIDTH", "KATAKANA-HIRAGANA", "CJK") else word


@cache
def _oddity(character: str) -> float:
    """Return the cost of a character that a page's language does not use."""
    if "\u2500" <= character <= "\u25ff":
        return 12.0  # boxes and blocks
    if character in "°²³µ±×·½’–\xa0":
        return 8.0
    kind = unicodedata.category(character)
    if kind in ("Ll", "Lu", "Lo"):
        return 11.0
    return 18.0 if kind[0] == "C" or kind == "Zl" else 10.5


def _alphabet(letters: str, rare: str = "", within: float = 1.0) -> Model:
    """Return the costs of an alphabet: its letters, each with its share in any unit, and rare letters that it has too.

    `within` is the share that all these have among the letters of a text, as accents have in Latin. A capital is ten
    times as rare as its small letter.
    """
    shares = {word[0]: float(word[1:]) for word in letters.split()}
    total = sum(shares.values()) / within
    costs = {letter: -math.log(share / total) for letter, share in shares.items()}
    costs |= {letter: 9.0 for letter in rare if letter not in costs}
    for letter, cost in list(costs.items()):
        if letter.upper() != letter and len(letter.upper()) == 1:
            costs.setdefault(letter.upper(), cost + 1.8)
    return lambda character: costs[character] if character in costs else _oddity(character)


_WESTERN = (
    "ä6 ö4 ü7 ß3 é0.2",  # German
    "é20 è4 à5 ê2.5 ç1 â0.6 î0.5 ô0.6 û0.6 ù0.5 ë0.2 ï0.2 œ0.3",  # French
    "ó9 í7 á5 é4.5 ñ3 ú1.7 ü0.2",  # Spanish
    "ã8 ç5 é5 ê4 á4 í3 ó3 õ1.5 ú1.5 â1.5 à0.7 ô0.6",  # Portuguese
    "à6 è4 ò2 ù2 ì1.5 é1",  # Italian
    "ä18 ö13 å12 é0.5",  # Swedish, Finnish
    "å11 ø9 æ8 é0.5",  # Danish, Norwegian
    "é20 ä10 ü9 ö7 á5 è5 ó5 ñ4 í4 à4 ç3.5 ß3 å3 ã3 ê2.5 ú2 ø2 â1.5 æ1.2 ô1.2 õ0.8 î0.7 ò0.6 ë0.6 ï0.6 ù0.5 û0.5 "
    "ì0.4 œ0.3 ª0.1 º0.1",  # several
)
_CENTRAL = (
    "ł18 ę11 ą10 ó8 ż8 ś7 ć4 ń2 ź0.6",  # Polish
    "í32 á22 ě16 é13 ř12 č10 ž10 ý10 š8 ů7 ú1.5 ň1 ť0.5 ď0.3 ó0.3",  # Czech
    "á22 í11 é10 č10 š9 ž10 ý11 ú9 ľ4 ť6 ň2 ô2 ď2 ä1.5 ó1",  # Slovak
    "á34 é32 ö10 ó9 ő9 í5 ü5 ú3 ű2",  # Hungarian
    "ă10 ş6 ţ5 ș6 ț5 î5 â4",  # Romanian
    "č10 š8 ž5 ć5 đ1.5",  # Croatian, Slovenian
    "á10 í8 é8 ó7 ł6 ż4 ą4 ę4 č4 š4 ž4 ř4 ý3 ě4 ś3 ć2 ń1 ő3 ö4 ü2 ű1 ú2 ů2 ź0.5 ă3 ț1 ţ2 ş2 â1 î2 đ0.6 ľ0.7 ť0.6 "
    "ň0.5 ď0.3 ô0.4 ä1.5 ß0.4",  # several
)
_TURKISH = "ı20 ü8 ş8 ç5 ö4 ğ5 İ1.5 â0.2 î0.1 û0.1"
_RUSSIAN = (
    "о109 е84 а80 и73 н67 т63 с55 р47 в45 л44 к40 м32 д30 п28 у26 я20 ы19 ь17 г17 з16 б16 ч14 й12 х10 ж9 ш8 ю6 "
    "ц5 щ4 э3 ф3 ё1 ъ0.5 і2 ї0.8 є0.6 ў0.2"
)
_GREEK = (
    "α10 ο9 ι8 ε8 τ8 ν7 σ5 η5 υ4 ρ5 π4 κ4 μ3 λ4 ς5 ω2 γ2 δ2 θ1.5 χ1.5 φ1.2 β1 ξ0.6 ζ0.5 ψ0.3 ά3 ί3 ό3 έ2.5 ή2 "
    "ύ1.5 ώ1.5 ϊ0.1 ϋ0.1"
)
_HEBREW = (
    "י11 ו10 ה10 ל7 א6 ר6 ת5.5 ב5 ש4.5 מ5 נ3 ם2.5 ד2.5 ח2.5 ע3 ק2.5 פ2 כ2.5 ג1.5 ט1.5 ס1.5 צ1.2 ז1.2 ן1.3 ך0.8 "
    "ף0.3 ץ0.3"
)
_ARABIC = (
    "ا13 ل12 ن6 م6.5 ي6.5 و6 ر5.5 ت5 ب4 ع4 ه3 د3.5 س3 ة4 ف3 ق2.5 ك2.5 أ2 ح2.2 ج1.7 ش1.5 ط1.4 ص1.2 خ1.2 ض0.8 "
    "ذ0.8 ز0.9 غ0.8 ث0.8 ى0.8 إ0.6 ء0.6 ئ0.4 ظ0.3 آ0.2 ؤ0.1"
)
_THAI = (
    "า8 ร6.5 น6.5 อ5.5 ก5 ่5 เ4.5 ง4.5 ม4.5 ย3.5 ล3.5 ว3.5 ้4.5 ด3 ท3 ส2.7 ต2.7 ั3.5 ป2.2 บ2.3 ค2.2 ี2.5 ิ2.5 "
    "ห2.7 แ2.2 จ1.7 พ1.7 ช1.4 ข1.5 ะ1.8 ใ1 ไ1.8 ็0.8 โ0.8 ุ1.3 ู1.3 ื1.5 ์1.2 ผ0.8 ซ0.6 ถ0.9 ำ0.8 ศ0.5 ธ0.5 "
    "ณ0.5 ภ0.5 ญ0.3 ษ0.4 ฟ0.4 ฝ0.2 ึ0.6 ฉ0.2 ฐ0.2 ๋0.2 ๊0.2"
)
_JAMO = (
    "14 1.5 7 8 1.5 7 6 7 0.7 10 1 17 9 0.4 3.5 2 3 3 7",
    "22 6 1.5 0.2 10 5.5 5 1.3 10 2 0.7 1.3 1.7 9 1 0.4 1.8 1 7 1 17",
    "50 4.5 0.2 0.1 11 0.1 0.4 0.5 7.5 0.3 0.1 0.2 0.05 0.02 0.05 0.1 4 2 0.3 2 1 9 0.5 0.5 0.3 0.7 0.6 0.4",
)
"""Shares of the first, middle and last parts of Korean syllables, in Unicode's order (the first last is none)."""

# Characters of names that people give to classes: animals, plants, food, things, places, materials, colours, numbers,
# directions, faults, findings. Each list covers most of what such names consist of in its language.
_CHINESE = frozenset(
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然没日"
    "于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点"
    "月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并"
    "内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反"
    "合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃"
    "猫狗犬猪羊牛鸡鸭鹅鸟鱼虾蟹贝龟蛇蛙虎狮豹熊狼狐狸兔鼠鹿猴象驼河骆斑松獾刺猬袋熊考拉企鹅鹰鸽雀燕鹤孔雀鹦鹉虫蝴蝶蜂蚁蚊蝇蜘蛛蜻蜓蚕蝉"
    "花草树木叶根茎果实种玫瑰百合菊梅兰竹荷莲桃李杏梨苹樱葡萄草莓蓝香蕉橙柠檬橘柚西瓜哈密菠萝芒椰枣核栗番茄黄土豆萝卜白菜洋葱蒜姜辣椒玉米稻麦棉"
    "米饭面包馒饺粥汤肉蛋奶茶酒咖啡糖盐油醋酱糕饼干冰淇淋火锅烧烤鸡腿汉堡披萨"
    "桌椅床柜灯窗墙房屋楼桥街车轮飞船卡轿摩托自行公交铁轨站港机场路标牌红绿蓝黄黑灰紫粉橙棕银"
    "衣裤裙鞋帽袜包伞表镜眼手机脑键盘鼠标屏幕相照片图像视频笔纸本刀叉勺碗盘杯瓶壶箱盒袋瓦玻璃塑料金属布皮革陶瓷钢铜铝"
    "圆方形角线条块粒粉液固左右上下前后东南西北春夏秋冬晴雨雪云雾雷阴早晚夜昼"
    "缺陷划痕裂纹斑点污渍破损变形孔洞凹凸毛刺气泡锈蚀脱漏短断异常正合格不良品优差好坏次废类型级号其他未知背景训练测试验证集标注分数据样"
    "病毒菌细胞血肺肝肾胃心脑骨皮肤肿瘤癌炎症结节出积液健康患者阳阴性良恶影像检查"
    "农田建筑森湖泊海滩沙漠草原山脉工厂学校医院商店超市教堂庙塔城堡广园林场可回收垃圾厨余害"
    "零一二三四五六七八九十百千万男女孩童老年青婴笑怒悲惊恐厌恶惧伤睡站坐跑跳走"
    "焊缝铸锻压磨涂层胶锡电池极芯片引脚螺丝钉帽轴承齿轮弹簧管阀泵线缆插座开关焦烧毁偏移错缺多余混料杂划擦碰褶皱翘曲鼓包起皮脱落露底掉漆"
    "甲乙丙丁东鸦鹊鹭雁鲤鲨鲸豚蜥蜴鳄鹦壁蝎螃章乌燕隼犀牦羚羔驴骡鸵貂鼬狒猩松柏杨柳榆槐枫桂葵蒲英郁雏菊蕨苔藓蘑菇杂锈叶枯霉腐烂稻瘟"
    "酱炒煎炸蒸煮烤拌汁酸甜苦辣咸香嫩糯粽寿司拉意粉串卤豉腊肠培根芝士酥塔慕斯布丁啤葡"
    "街景航拍遥感卫星船舶港湾岸滩岛屿湿垦荒裸居民区工业仓储停铁塔烟囱泳池足篮网球棒"
)
_TAIWANESE = frozenset(
    "的一是不了在人有我他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可裡後小麼心多天而能好都然沒日"
    "於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美點"
    "月明其種聲全工己話兒者向情部正名定女問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關並"
    "內加化由卻代軍產入先山五太水萬市眼體別處總才場師書比住員九笑性通目華報立馬命張活難神數件安表原車白應路期叫死常提感金何更反"
    "合放做系計或司利受光王果親界及今京務制解各任至清物台象記邊共風戰幹接它許八特覺望直服毛林題建南度統色字請交愛讓認算論百吃"
    "貓狗犬豬羊牛雞鴨鵝鳥魚蝦蟹貝龜蛇蛙虎獅豹熊狼狐狸兔鼠鹿猴象駱駝斑松刺蝟袋企鵝鷹鴿雀燕鶴孔鸚鵡蟲蝴蝶蜂蟻蚊蠅蜘蛛蜻蜓蠶蟬"
    "花草樹木葉根莖果實種玫瑰百合菊梅蘭竹荷蓮桃李杏梨蘋櫻葡萄草莓藍香蕉橙檸檬橘柚西瓜鳳芒椰棗核栗番茄黃土豆蘿蔔白菜洋蔥蒜薑辣椒玉米稻麥棉"
    "米飯麵包饅餃粥湯肉蛋奶茶酒咖啡糖鹽油醋醬糕餅乾冰淇淋火鍋燒烤雞腿漢堡披薩"
    "桌椅床櫃燈窗牆房屋樓橋街車輪飛船卡轎摩托自行公交鐵軌站港機場路標牌紅綠藍黃黑灰紫粉橙棕銀"
    "衣褲裙鞋帽襪包傘表鏡眼手機腦鍵盤滑鼠螢幕相照片圖像視頻筆紙本刀叉勺碗盤杯瓶壺箱盒袋瓦玻璃塑料膠金屬布皮革陶瓷鋼銅鋁"
    "圓方形角線條塊粒粉液固左右上下前後東南西北春夏秋冬晴雨雪雲霧雷陰早晚夜晝"
    "缺陷劃刮痕裂紋斑點污漬破損變形孔洞凹凸毛刺氣泡鏽蝕脫漏短斷異常正合格不良品優差好壞次廢類型級號其他未知背景訓練測試驗證集標註分數據樣"
    "病毒菌細胞血肺肝腎胃心腦骨皮膚腫瘤癌炎症結節出積液健康患者陽陰性良惡影像檢查"
    "農田建築森湖泊海灘沙漠草原山脈工廠學校醫院商店超市教堂廟塔城堡廣園林場可回收垃圾廚餘害"
    "零一二三四五六七八九十百千萬男女孩童老年青嬰笑怒悲驚恐厭惡懼傷睡站坐跑跳走"
    "焊縫鑄鍛壓磨塗層膠錫電池極晶片引腳螺絲釘帽軸承齒輪彈簧管閥泵線纜插座開關焦燒毀偏移錯缺多餘混料雜擦碰褶皺翹曲鼓起皮脫落露底掉漆瑕疵颱臺"
    "鴉鵲鷺雁鯉鯊鯨豚蜥蜴鱷壁蝎章烏隼犀羚羔驢鴕鼬狒猩柏楊柳榆槐楓桂葵蒲英鬱雛蕨苔蘚蘑菇鏽枯黴腐爛麻雀鵑甲蜓鳳"
    "滷炒煎炸蒸煮拌汁酸甜苦鹹嫩糯粽壽司拉意串豉臘腸培根酥塔布丁啤籠珍珠臭豆腐蚵仔"
)
_KANJI = frozenset(
    "日一人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電校語土木聞食"
    "車何南万毎白天母火右読友左休父雨猫犬鳥魚馬牛豚羊鶏猿虎熊狼狐狸兎鼠鹿象亀蛇蛙蝶蜂虫蟻蚊蜘蛛貝海老蟹鳩鷹雀燕鶴鴨"
    "花草樹葉根茎果実種桜梅菊百合竹松杉桃梨林檎苺葡萄蜜柑柿栗茄豆芋菜葱米麦稲飯麺肉卵乳茶酒味噌塩油酢糖餅菓"
    "机椅家屋窓壁床橋道路駅港場空船飛機自動転輪標識信号赤青黄緑黒紫茶色灰銀紺桃橙服靴帽傘鏡眼鏡時計紙筆刀皿碗杯瓶箱袋布革鉄銅鋼板"
    "丸角形線点円面欠陥傷割裂汚染破損変曲穴凹凸泡錆漏短断異常正良品不合格優可否類型級番号他未知背景学習訓練試験検証評価画像写真分類"
    "病毒菌細胞血肺肝腎胃心脳骨皮膚腫瘍癌炎症結節健康患者陽陰性良悪影検査"
    "田畑森林湖海浜砂漠原野工場病院店寺神社塔城公園庭建物春夏秋冬晴曇雪霧雷朝昼夜東京都府県市町村国"
    "紅鉢鯉鮫鯨豚猪羚狒狸鼬鴉鷺雁鷲隼燕椿楓柳杏柊蓮菫蘭竜柴秋三毛味噌汁焼揚蒸煮炒丼寿司刺身弁当"
    "剥離欠損鋳巣溶接摩耗腐食亀裂凹打痕擦糸屑埃塵油膜気孔偏芯反焦不足過剰漏液膨張変形浮溝穴径幅厚薄高低長短端部品基板配線端子電池極"
    "零億男女子供老若笑怒悲驚恐嫌睡立座走歩手足目耳口鼻頭首体顔髪毛歯指新古明暗強弱多少早遅重軽全部内側正面横裏表打切欠け貼加工付着異物無有"
)


def _cjk(
    common: frozenset[str], share: float, codec: str, level_one: Callable[[int, int], bool], sizes: tuple[float, float]
) -> Model:
    """Return the costs of Chinese characters: those in names, those of the page's first level, the second, the rest.

    Args:
        common: the characters of names; they have this share of all.
        share: of the common ones; the others share the rest, most of it in the first level.
        codec: whose bytes level_one judges, as (lead, trail).
        level_one: whether a pair belongs to the page's frequent characters.
        sizes: number of characters in the first level and in the second.
    """
    rest = 1 - share
    in_names = -math.log(share / len(common))
    first, second = -math.log(0.9 * rest / sizes[0]), -math.log(0.08 * rest / sizes[1])

    @cache
    def cost(character: str) -> float:
        if character in common:
            return in_names
        if unicodedata.category(character) != "Lo" or _script(character) != "CJK":
            return 9.5 if unicodedata.east_asian_width(character) in "FW" else _oddity(character) + 2.0
        pair = character.encode(codec, "ignore")
        if len(pair) != 2:
            return 16.0
        return first if level_one(pair[0], pair[1]) else second

    return cost


def _in_gb2312(character: str) -> bool:
    return len(character.encode("gb2312", "ignore")) == 2


def _chinese() -> Model:
    frequent = _cjk(_CHINESE, 0.85, "gb18030", lambda lead, trail: 0xB0 <= lead <= 0xD7 and trail >= 0xA1, (3155, 3008))
    return lambda character: frequent(character) + (0.0 if _in_gb2312(character) else 4.0)


def _japanese() -> Model:
    kanji = _cjk(_KANJI, 0.8, "cp932", lambda lead, trail: 0x88 <= lead <= 0x98, (2500, 3390))

    def cost(character: str) -> float:
        if "\u3041" <= character <= "\u3093":
            return 5.6
        if "\u30a1" <= character <= "\u30f6" or character == "ー":
            return 5.2
        if "\uff61" <= character <= "\uff9f":
            return 9.0  # half-width kana
        return kanji(character) + 0.9

    return cost


def _korean() -> Model:
    """Return the costs of syllables from those of their parts, times whether the old standard has them."""
    shares = [[float(one) for one in line.split()] for line in _JAMO]
    firsts, middles, lasts = ([-math.log(one / sum(line)) for one in line] for line in shares)

    @cache
    def cost(character: str) -> float:
        if "가" <= character <= "힣":
            number = ord(character) - 0xAC00
            parts = firsts[number // 588] + middles[number // 28 % 21] + lasts[number % 28]
            return parts + (0.0 if len(character.encode("euc_kr", "ignore")) == 2 else 7.0)
        return 13.8 if _script(character) == "CJK" else _oddity(character) + 2.0

    return cost


MODELS: dict[str, tuple[Model, ...]] = {
    "western": tuple(_alphabet(letters, "ýÿðþ", within=0.07) for letters in _WESTERN),
    "central": tuple(_alphabet(letters, "ëŕĺ", within=0.08) for letters in _CENTRAL),
    "turkish": (_alphabet(_TURKISH, within=0.12),),
    "japanese": (_japanese(),),
    "chinese": (_chinese(),),
    "taiwanese": (_cjk(_TAIWANESE, 0.85, "big5", lambda lead, trail: 0xA4 <= lead <= 0xC6, (4600, 7652)),),
    "korean": (_korean(),),
    "cyrillic": (_alphabet(_RUSSIAN, "ґѓќђљњћџ"),),
    "greek": (_alphabet(_GREEK, "ΐΰ"),),
    "hebrew": (_alphabet(_HEBREW),),
    "arabic": (_alphabet(_ARABIC),),
    "thai": (_alphabet(_THAI, "".join(map(chr, range(0x0E01, 0x0E4F)))),),
}
"""Languages by the group of pages that they share: the names of an archive are those of the one that fits best."""
